// The stream of one view: connects, notices silence, and connects again.
//
// Browsers allow six connections to a host. A page that nobody sees therefore gives its own up, or
// the seventh tab would hang; it begins anew, with a full message, when it is seen again.

const SILENT_MS = 6_000; // the server says something at least every second or five
const HIDDEN_MS = 2_000;
const RETRY_MS = [1_000, 2_000, 5_000];

export class Stream {
  /** `heard(kind, document)` for each message, `changed(state)` for `connecting`, `live`, `lost`. */
  constructor(heard, changed) {
    this.heard = heard;
    this.changed = changed;
    this.tries = 0;
    setInterval(() => this.watch(), 1_000);
    addEventListener("pagehide", () => this.close());
    addEventListener("pageshow", (event) => event.persisted && this.open(this.view));
    document.addEventListener("visibilitychange", () => {
      clearTimeout(this.hiding);
      if (document.hidden) this.hiding = setTimeout(() => this.close(), HIDDEN_MS);
      else if (this.source?.readyState === EventSource.CLOSED) this.open(this.view);
    });
  }

  open(view) {
    this.view = view;
    this.close();
    this.told("connecting");
    const source = (this.source = new EventSource(`/stream?view=${view}`));
    for (const kind of ["floor", "mirror", "health"]) {
      source.addEventListener(kind, (event) => {
        this.at = Date.now();
        this.tries = 0;
        this.told("live");
        this.heard(kind, JSON.parse(event.data));
      });
    }
    source.onerror = () => {
      this.told("lost");
      if (source.readyState === EventSource.CLOSED) this.again();
    };
    this.at = Date.now();
  }

  close() {
    clearTimeout(this.timer);
    this.source?.close();
  }

  /** A connection may be dead without an error: then nothing is heard. */
  watch() {
    if (this.source?.readyState === EventSource.OPEN && Date.now() - this.at > SILENT_MS) {
      this.told("lost");
      this.open(this.view);
    }
  }

  /** The browser gives up after an answer other than 200: find out why, then try again. */
  async again() {
    const pause = RETRY_MS[Math.min(this.tries++, RETRY_MS.length - 1)];
    try {
      const answer = await fetch("/api/conversations?beginning=-");
      if (answer.status === 401) return location.assign("/login");
    } catch { /* still away: the next try tells */ }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.open(this.view), pause);
  }

  told(state) {
    if (state === this.state) return;
    if (state === "connecting" && this.state === "lost") return; // still lost until something is heard
    this.state = state;
    this.changed(state);
  }
}
