// What is on its way: messages that the daemon has not acknowledged, and those that wait their turn.

import { sentFiles } from "./files.js";
import { button, idButton, make, timestamp } from "./make.js";

const WORDS = {
  sending: "Sending…",
  unsent: "Will be sent when the connection is back",
  waiting: "Waiting for its turn",
  overflowed: "Too many wait: it will be answered from a summary",
};
const SHOWN = { retrying: "failed", unsent: "sending", overflowed: "waiting overflowed" };

export class Pending {
  #root;
  #outbox;
  #actions;
  #elements = new Map();
  waiting = [];
  connected = false;

  /** `actions` are `retry(message)`, `discard(message)` and `withdraw(messageId)`. */
  constructor(root, outbox, actions) {
    this.#root = root;
    this.#outbox = outbox;
    this.#actions = actions;
  }

  get count() {
    return this.#elements.size;
  }

  show() {
    const entries = this.#entries();
    for (const [key, element] of this.#elements) {
      if (!entries.some((entry) => entry.key === key)) {
        element.remove();
        this.#elements.delete(key);
      }
    }
    entries.forEach((entry, index) => {
      const element = this.#elements.get(entry.key) ?? this.#create(entry);
      this.#describe(element, entry);
      if (this.#root.children[index] !== element) {
        this.#root.insertBefore(element, this.#root.children[index] ?? null);
      }
    });
  }

  #entries() {
    const waiting = this.waiting.map((message) => ({
      key: message.client_message_id ?? message.message_id,
      // Long messages wait under their beginning; our own we know whole.
      text: this.#outbox.find(message.client_message_id)?.text ?? message.content,
      files: message.files,
      at: message.at,
      state: message.overflowed ? "overflowed" : "waiting",
      id: message.message_id,
    }));
    const keys = new Set(waiting.map((entry) => entry.key));
    const own = this.#outbox.messages.filter((message) => !keys.has(message.id));
    return [...waiting, ...own.map((message) => ({
      ...message,
      key: message.id,
      message,
      state: message.state === "sending" && !this.connected ? "unsent" : message.state,
    }))];
  }

  #create(entry) {
    const bubble = make("div", { className: "bubble", textContent: entry.text, hidden: !entry.text });
    const fate = make("div", { className: "fate" });
    const element = make("article", { ariaLabel: "You" }, sentFiles(entry.files), bubble, fate);
    this.#elements.set(entry.key, element);
    return element;
  }

  #describe(element, entry) {
    const fate = `${entry.state} ${entry.reason ?? ""}`;
    if (element.dataset.fate === fate) return;
    element.dataset.fate = fate;
    const shown = SHOWN[entry.state] ?? entry.state;
    element.className = `message said ${shown}`;
    const words = entry.state === "accepted"
      ? timestamp(entry.at)
      : make("span", { textContent: WORDS[entry.state] ?? entry.reason });
    element.lastChild.replaceChildren(words, ...this.#buttons(entry));
  }

  #buttons({ state, id, message }) {
    const { withdraw, retry, discard } = this.#actions;
    if (state === "waiting" || state === "overflowed") {
      return [button("Withdraw", "Take this message back", () => withdraw(id)), idButton(id)];
    }
    if (state === "failed" || state === "retrying") {
      return [
        button(state === "failed" ? "Try again" : "Try now", "Send again", () => retry(message)),
        button("Discard", "Do not send this message", () => discard(message)),
      ];
    }
    return [];
  }
}
