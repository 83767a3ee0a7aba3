"""The web server and the page.

server   the sockets and the event loop that serve the routes
web      routes, streams, static files
punctual HTTP/1.1 with a deadline for a request
guard    access: token, proxy's header, Host; and the headers of every answer
static/  the page: plain ES modules and CSS, no build
"""
