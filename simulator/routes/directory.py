"""Users and queues over REST (docs/permissions.md, "The calls"), with Genesys' paging.

A client sees the objects of the divisions in which its role is granted.
"""

from __future__ import annotations

from collections.abc import Callable
from fnmatch import fnmatch
from typing import Any

import msgspec
from aiohttp import web

from simulator.errors import ApiError, json_response
from simulator.routes.guard import client_of, need_permission
from simulator.world import world_of

MAX_MEMBER_PAGE_SIZE = 100
MAX_USER_IDS = 100
DEFAULT_PAGE_SIZE = 25
USER_STATES = frozenset({"active", "inactive", "deleted", "any"})


async def list_users(request: web.Request) -> web.Response:
    """Users by page, or up to 100 by `id`."""
    org = world_of(request).org
    ids = _ids(request)
    if len(ids) > MAX_USER_IDS:
        raise ApiError("max.user.ids")
    client = client_of(request)
    state = request.query.get("state", "active")
    if state not in USER_STATES:
        raise ApiError("invalid.value", state)
    users = [user for user in ids if org.is_user(user)] if ids else org.users
    if state != "any":
        users = [user for user in users if org.state(user) == state]
    if world_of(request).quirks.users_by_division:
        users = [user for user in users if client.sees({org.division_of_user(user)})]
    return json_response(
        page(request, users, org.user_body, world_of(request).quirks.max_page_size)
    )


async def get_user(request: web.Request) -> web.Response:
    """One user."""
    org = world_of(request).org
    user = request.match_info["user_id"]
    if not org.has_user(user) or not client_of(request).sees({org.division_of_user(user)}):
        raise ApiError("not.found")
    return json_response(org.user_body(user))


async def search_users(request: web.Request) -> web.Response:
    """`POST /users/search`. Without a result, `results` is absent."""
    need_permission(request, "directory:user:view")
    org = world_of(request).org
    try:
        query = msgspec.json.decode(await request.read())
        size = int(query.get("pageSize", DEFAULT_PAGE_SIZE))
        number = int(query.get("pageNumber", 1))
        if size < 1 or number < 1:
            raise ValueError
        terms = [(tuple(term["fields"]), str(term["value"])) for term in query.get("query", [])]
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise ApiError("bad.request") from error
    found = [
        body
        for user in org.users
        if org.state(user) == "active" and client_of(request).sees({org.division_of_user(user)})
        for body in (org.user_body(user),)
        if all(
            any(str(body.get(field, "")) == value for field in fields) for fields, value in terms
        )
    ]
    answer: dict[str, Any] = {"total": len(found), "pageSize": size, "pageNumber": number}
    shown = found[(number - 1) * size : number * size]
    if shown:
        answer["results"] = shown
    return json_response(answer)


async def list_queues(request: web.Request) -> web.Response:
    """Queues sorted by name; `name` may begin or end with `*`."""
    digest = request.path.endswith("/divisionviews/all")
    need_permission(request, "routing:queue:search" if digest else "routing:queue:view")
    org = world_of(request).org
    client = client_of(request)
    queues = sorted(
        (
            queue
            for queue in org.queues
            if org.has_queue(queue) and client.sees({org.division_of_queue(queue)})
        ),
        key=org.queue_name,
    )
    ids = _ids(request)
    if ids:
        queues = [queue for queue in queues if queue in ids]
    name = request.query.get("name")
    if name:
        queues = [q for q in queues if fnmatch(org.queue_name(q).lower(), name.lower())]
    order = request.query.get("sortOrder", "asc").lower()
    if order not in ("asc", "desc"):
        raise ApiError("invalid.value", order)
    if order == "desc":
        queues.reverse()
    return json_response(
        page(request, queues, org.queue_body, world_of(request).quirks.max_page_size)
    )


async def get_queue(request: web.Request) -> web.Response:
    """One queue."""
    need_permission(request, "routing:queue:view")
    org = world_of(request).org
    return json_response(org.queue_body(_queue(request)))


async def list_members(request: web.Request) -> web.Response:
    """Members of a queue, at most 100 a page."""
    need_permission(request, "routing:queue:view")
    org = world_of(request).org
    queue = _queue(request)

    def member(user: str) -> dict[str, Any]:
        return {"id": user, "user": org.user_body(user), "ringNumber": 1, "joined": True}

    members = (org.users[index] for index in org.members(queue))
    users = [user for user in members if org.state(user) == "active"]
    return json_response(page(request, users, member, MAX_MEMBER_PAGE_SIZE))


def _queue(request: web.Request) -> str:
    """The queue in the path, if the client may see it."""
    org = world_of(request).org
    queue = request.match_info["queue_id"]
    if not org.has_queue(queue) or not client_of(request).sees({org.division_of_queue(queue)}):
        raise ApiError("not.found")
    return queue


def page(
    request: web.Request, ids: list[str], body: Callable[[str], dict[str, Any]], largest: int
) -> dict[str, Any]:
    """A page of entities. `nextUri` and `previousUri` are absent at the ends."""
    size = _number(request, "pageSize", DEFAULT_PAGE_SIZE)
    number = _number(request, "pageNumber", 1)
    if size > largest:
        raise ApiError("invalid.value", str(size))
    pages = max(1, -(-len(ids) // size))
    endless = world_of(request).quirks.endless
    if endless and fnmatch(request.path, endless):
        first = (number - 1) % pages * size
        entities = [body(entity) for entity in ids[first : first + size]]
        following = f"{request.path}?pageSize={size}&pageNumber={number + 1}"
        return {"entities": entities, "pageNumber": number, "nextUri": following}
    shown = [body(entity) for entity in ids[(number - 1) * size : number * size]]

    def uri(page: int) -> str:
        return f"{request.path}?pageSize={size}&pageNumber={page}"

    listing: dict[str, Any] = {
        "entities": shown,
        "pageSize": size,
        "pageNumber": number,
        "total": len(ids),
        "pageCount": pages,
        "firstUri": uri(1),
        "selfUri": uri(number),
        "lastUri": uri(pages),
    }
    if number < pages:
        listing["nextUri"] = uri(number + 1)
    if number > 1:
        listing["previousUri"] = uri(number - 1)
    return listing


def _number(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isdecimal() or int(text) < 1:
        raise ApiError("invalid.value", text)
    return int(text)


def _ids(request: web.Request) -> list[str]:
    return [id_ for text in request.query.getall("id", []) for id_ in text.split(",") if id_]


def routes() -> list[web.RouteDef]:
    """The directory routes."""
    queues = "/api/v2/routing/queues"
    return [
        web.get("/api/v2/users", list_users, allow_head=False),
        web.post("/api/v2/users/search", search_users),
        web.get("/api/v2/users/{user_id}", get_user, allow_head=False),
        web.get(queues, list_queues, allow_head=False),
        web.get(queues + "/divisionviews/all", list_queues, allow_head=False),
        web.get(queues + "/{queue_id}", get_queue, allow_head=False),
        web.get(queues + "/{queue_id}/members", list_members, allow_head=False),
    ]
