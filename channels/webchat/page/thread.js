// The thread: lines in their order, drafts below them, and a view that stays at the bottom only for
// as long as it is there.

import { Draft } from "./draft.js";
import { changeLine, saidLine, spokenLine } from "./lines.js";
import { dayOf } from "./make.js";

const NEAR = 40;

export class Thread {
  oldest = Infinity;
  newest = 0;
  #lines = new Map();
  #drafts = new Map();
  #finished = new Set();
  #following = true;
  #top = 0;

  constructor({ scroller, lines, drafts, jump }) {
    this.scroller = scroller;
    this.linesRoot = lines;
    this.draftsRoot = drafts;
    this.jump = jump;
    scroller.addEventListener("scroll", () => this.#look(), { passive: true });
    jump.addEventListener("click", () => this.toBottom(true));
    const keep = new ResizeObserver(() => this.#following ? this.toBottom() : this.#look());
    keep.observe(scroller);
    keep.observe(scroller.firstElementChild);
  }

  get empty() {
    return !this.#lines.size && !this.#drafts.size && !this.linesRoot.childElementCount;
  }

  get running() {
    return Array.from(this.#drafts.values()).some((draft) => draft.active);
  }

  /** Add a `said` or `message` frame. False when it is here already. */
  add(frame) {
    if (this.#lines.has(frame.seq)) return false;
    const element = frame.type === "said" ? saidLine(frame) : spokenLine(frame);
    element.dataset.seq = frame.seq;
    this.#place(element, frame);
    this.#lines.set(frame.seq, element);
    this.oldest = Math.min(this.oldest, frame.seq);
    this.newest = Math.max(this.newest, frame.seq);
    return true;
  }

  /** Add a line that is in nobody's transcript, such as a command that only we gave. */
  addOwn(frame) {
    const element = saidLine(frame);
    element.dataset.seq = this.newest;
    this.#place(element, { ...frame, seq: this.newest });
  }

  /** Add older lines above, and keep what is being read where it is. */
  addOlder(frames) {
    const height = this.scroller.scrollHeight;
    const top = this.scroller.scrollTop;
    for (const frame of frames) this.add(frame);
    if (!this.#following) this.scroller.scrollTop = top + this.scroller.scrollHeight - height;
  }

  /** A line says something else from now on; `frame` is a `changed` frame. */
  change(frame) {
    const line = this.linesRoot.querySelector(`[data-message="${frame.message_id}"]`);
    if (line) changeLine(line, frame);
  }

  /** The buttons of a choice, which may be pressed or not. */
  choosing(choice, open) {
    const buttons = this.linesRoot.querySelectorAll(`[data-choice="${choice}"] button`);
    for (const button of buttons) button.disabled = !open;
  }

  clear() {
    this.#lines.clear();
    this.linesRoot.replaceChildren();
    for (const run of this.#drafts.keys()) this.dropDraft(run);
    this.oldest = Infinity;
    this.newest = 0;
  }

  /** The draft of a run, begun if need be; null when the run's reply is here already. */
  draft(run) {
    if (this.#finished.has(run)) return null;
    let draft = this.#drafts.get(run);
    if (!draft) {
      draft = new Draft();
      this.#drafts.set(run, draft);
      this.draftsRoot.append(draft.element);
    }
    return draft;
  }

  runs() {
    return [...this.#drafts.keys()];
  }

  endDraft(run) {
    const draft = this.#drafts.get(run);
    draft?.end();
    if (draft?.empty) this.dropDraft(run);
  }

  dropEnded(run) {
    if (!this.#drafts.get(run)?.active) this.dropDraft(run);
  }

  dropDraft(run) {
    this.#drafts.get(run)?.element.remove();
    this.#drafts.delete(run);
  }

  /** A reply has come: its draft goes in the same instant, and later deltas mean nothing. */
  finish(frame) {
    const draft = this.#drafts.get(frame.run_id);
    if (frame.kind === "notice" && draft?.active) return;
    this.dropDraft(frame.run_id);
    if (frame.kind === "reply") this.#finished.add(frame.run_id);
  }

  toBottom(softly = false) {
    this.#following = true;
    const behavior = softly ? "smooth" : "instant";
    this.scroller.scrollTo({ top: this.scroller.scrollHeight, behavior });
    this.#offerJump();
  }

  #place(element, frame) {
    let before = this.linesRoot.lastElementChild;
    while (before && Number(before.dataset.seq) > frame.seq) before = before.previousElementSibling;
    if (before) before.after(element);
    else this.linesRoot.prepend(element);
    element.dataset.date = dayOf(frame.at);
    this.#nameDay(element);
    if (element.nextElementSibling) this.#nameDay(element.nextElementSibling);
  }

  #nameDay(element) {
    const { date } = element.dataset;
    if (element.previousElementSibling?.dataset.date === date) delete element.dataset.day;
    else element.dataset.day = date;
  }

  // Whoever moves up wants to read there; whoever comes down to the end wants to follow again. What
  // grows by itself, or is on its way to the end, changes nothing.
  #look() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroller;
    const left = scrollHeight - scrollTop - clientHeight;
    if (left <= 2 || (left < NEAR && scrollTop >= this.#top)) this.#following = true;
    else if (scrollTop < this.#top) this.#following = false;
    this.#top = scrollTop;
    this.#offerJump();
  }

  #offerJump() {
    this.jump.hidden = this.#following;
  }
}
