// An answer while it is being written.

import { toolChip } from "./lines.js";
import { GrowingText } from "./markdown.js";
import { make } from "./make.js";

const STATES = { started: "running…", finished: "done", failed: "failed", cancelled: "cancelled" };
const calm = matchMedia("(prefers-reduced-motion: reduce)");

export class Draft {
  active = true;
  #text = "";
  #shown = 0;
  #attempt = 0;
  #frame = 0;
  #tools = new Map();
  #toolList = make("div", { className: "tools" });
  #body = make("div", { className: "markdown" });
  #dots = make("div", { className: "thinking" }, make("i"), make("i"), make("i"));
  #growing = new GrowingText(this.#body);

  constructor() {
    this.#dots.setAttribute("aria-label", "OpenCraw is thinking");
    this.#dots.setAttribute("role", "img");
    const parts = [this.#toolList, this.#body, this.#dots];
    this.element = make("article", { className: "message reply draft", ariaLabel: "OpenCraw" }, ...parts);
  }

  /** Whether nothing came of it: no words, and no step that was not cut short. */
  get empty() {
    const chips = Array.from(this.#tools.values());
    return !this.#text && chips.every((chip) => chip.dataset.state === "cancelled");
  }

  /** Whether text is missing before `offset`. */
  lacks(offset) {
    return offset > this.#text.length;
  }

  grow(content, offset, attempt) {
    if (attempt < this.#attempt) return;
    if (attempt > this.#attempt) this.#begin(attempt);
    this.#text = this.#text.slice(0, offset) + content;
    this.#shown = Math.min(this.#shown, offset);
    this.#frame ||= requestAnimationFrame(() => this.#reveal());
  }

  tool({ call_id, name, state, summary }) {
    let chip = this.#tools.get(call_id);
    if (!chip) {
      chip = toolChip(name, "", state);
      this.#tools.set(call_id, chip);
      this.#toolList.append(chip);
    }
    chip.dataset.state = state;
    chip.lastChild.textContent = STATES[state] ?? state;
    chip.title = summary;
    this.#showDots();
  }

  end() {
    this.active = false;
    this.#showDots();
  }

  #begin(attempt) {
    if (this.#attempt) {
      this.#tools.clear();
      this.#toolList.replaceChildren();
    }
    this.#attempt = attempt;
  }

  // Text arrives in lumps. A part of what is missing is shown with every frame, so that it flows,
  // and so that a large lump is never far behind.
  #reveal() {
    this.#frame = 0;
    const missing = this.#text.length - this.#shown;
    let end = this.#shown + (calm.matches ? missing : Math.max(2, Math.ceil(missing / 7)));
    if (/[\ud800-\udbff]/.test(this.#text[end - 1] ?? "")) end += 1;
    this.#shown = Math.min(this.#text.length, end);
    this.#growing.show(this.#text.slice(0, this.#shown));
    this.#showDots();
    if (this.#shown < this.#text.length) this.#frame = requestAnimationFrame(() => this.#reveal());
  }

  #showDots() {
    const running = Array.from(this.#tools.values()).some((chip) => chip.dataset.state === "started");
    this.#dots.hidden = !this.active || this.#text !== "" || running;
  }
}
