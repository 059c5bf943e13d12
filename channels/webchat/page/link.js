// One connection to the daemon that comes back by itself.

const FIRST_DELAY = 500;
const LONGEST_DELAY = 30_000;
// A laptop that was asleep may hold a socket that is long dead.
const SILENCE = 45_000;
const PATIENCE = 5_000;

/** Calls `heard(frame)`, `changed(state, seconds)` and `refused(reason)`. */
export class Link {
  #socket = null;
  #failures = 0;
  #timer = 0;
  #ticking = 0;
  #lastFrame = 0;
  #probe = null;

  constructor({ chat, token, heard, changed, refused }) {
    this.chat = chat;
    this.token = token;
    this.heard = heard;
    this.changed = changed;
    this.refused = refused;
    this.greeted = false;
    addEventListener("online", () => this.#wake(true));
    addEventListener("offline", () => this.#socket?.close());
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") this.#wake(false);
    });
  }

  get address() {
    const address = new URL("ws", location.href);
    address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
    address.hash = "";
    address.search = new URLSearchParams({ chat: this.chat });
    return address;
  }

  open() {
    clearTimeout(this.#timer);
    clearInterval(this.#ticking);
    this.greeted = false;
    this.changed("opening");
    const socket = new WebSocket(this.address, ["opencraw.v1", `opencraw.token.${this.token()}`]);
    let opened = false;
    this.#socket = socket;
    socket.onopen = () => (opened = true);
    socket.onmessage = (event) => {
      this.#lastFrame = Date.now();
      const frame = JSON.parse(event.data);
      if (frame.type === "hello") {
        this.greeted = true;
        this.#failures = 0;
        this.changed("open");
      }
      this.heard(frame);
    };
    socket.onclose = () => {
      if (socket !== this.#socket) return;
      this.#socket = null;
      this.greeted = false;
      if (opened) this.#later();
      else this.#askWhy();
    };
  }

  /** False when there is nobody to send it to. */
  send(frame) {
    if (!this.greeted || this.#socket?.readyState !== WebSocket.OPEN) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** Have a look whether the other side is there; `question` is a frame that is always answered. */
  check(question) {
    this.#probe = question;
  }

  // A browser does not tell why a WebSocket was turned away, but a plain request gets the same
  // answer from the same guard.
  async #askWhy() {
    let status = 0;
    try {
      const headers = { Authorization: `Bearer ${this.token()}` };
      const address = new URL("ws", location.href);
      status = (await fetch(address, { headers, cache: "no-store" })).status;
    } catch {
      // Nobody there: the daemon is not running, or the network is away.
    }
    if (status === 401 || status === 403 || status === 429) {
      this.changed("closed");
      this.refused(status);
    } else {
      this.#later();
    }
  }

  #later() {
    const delay = Math.min(LONGEST_DELAY, FIRST_DELAY * 2 ** this.#failures++);
    // Jitter, so that many tabs do not come back in the same instant.
    const at = Date.now() + delay * (0.6 + 0.4 * Math.random());
    const tell = () => this.changed("waiting", Math.max(0, Math.ceil((at - Date.now()) / 1000)));
    tell();
    this.#ticking = setInterval(tell, 1000);
    this.#timer = setTimeout(() => this.open(), at - Date.now());
  }

  /** Come back at once instead of waiting. */
  retry() {
    if (this.#socket === null) this.open();
  }

  #wake(networkChanged) {
    if (this.#socket === null) {
      this.open();
    } else if (this.greeted && (networkChanged || Date.now() - this.#lastFrame > SILENCE)) {
      const asked = Date.now();
      const socket = this.#socket;
      if (this.#probe) this.send(this.#probe());
      setTimeout(() => {
        if (socket !== this.#socket || this.#lastFrame >= asked) return;
        // `close` would wait for a goodbye that nobody sends.
        this.#socket = null;
        socket.close();
        this.open();
      }, PATIENCE);
    }
  }
}
