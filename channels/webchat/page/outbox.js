// What was said but not yet acknowledged. It survives a reload and is sent again, under the same id,
// after every reconnect: the daemon takes each id once, so a message arrives once, never twice.

export class Outbox {
  #key;

  constructor(chat) {
    this.#key = `opencraw.outbox.${chat}`;
    this.messages = this.#restored();
  }

  add(text, files = []) {
    const at = Date.now();
    const message = { id: newId(), text, files, at, state: "sending", reason: "", tries: 0 };
    this.messages.push(message);
    this.#keep();
    return message;
  }

  find(id) {
    return this.messages.find((message) => message.id === id);
  }

  /** Acknowledged: the daemon has it for good. We only show it until it comes back as `said`. */
  acknowledged(id) {
    const message = this.find(id);
    if (message) message.state = "accepted";
    this.#keep();
    return message;
  }

  failed(id, reason, retryable) {
    const message = this.find(id);
    if (!message || message.state === "accepted") return null;
    message.state = retryable ? "retrying" : "failed";
    message.reason = reason;
    message.tries += 1;
    this.#keep();
    return message;
  }

  again(message) {
    message.state = "sending";
    message.reason = "";
    this.#keep();
  }

  drop(id) {
    this.messages = this.messages.filter((message) => message.id !== id);
    this.#keep();
  }

  #keep() {
    const unsure = this.messages.filter((message) => message.state !== "accepted");
    try {
      if (unsure.length) sessionStorage.setItem(this.#key, JSON.stringify(unsure));
      else sessionStorage.removeItem(this.#key);
    } catch {
      // Storage is full or switched off: the messages then live as long as this page.
    }
  }

  #restored() {
    try {
      const kept = JSON.parse(sessionStorage.getItem(this.#key) ?? "[]");
      for (const message of kept) if (message.state === "retrying") message.state = "sending";
      return kept;
    } catch {
      return [];
    }
  }
}

// Not crypto.randomUUID, which is missing where the page is served over plain HTTP.
function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
