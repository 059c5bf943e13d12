// Where people write.

const TALLEST = 0.4;

/** Calls `say(text, files)` and `stop()`. What is half written survives a reload; files do not. */
export class Composer {
  #key;
  #files = null;

  constructor({ form, text, send, stop }, chat, actions) {
    this.text = text;
    this.sendButton = send;
    this.stopButton = stop;
    this.actions = actions;
    this.#key = `opencraw.composer.${chat}`;
    this.#restore();
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    text.addEventListener("input", () => this.#changed());
    text.addEventListener("keydown", (event) => this.#pressed(event));
    stop.addEventListener("click", () => actions.stop());
    document.addEventListener("keydown", (event) => this.#anywhere(event));
  }

  set running(running) {
    if (this.stopButton.hidden === !running) return;
    const had = document.activeElement === this.stopButton;
    this.stopButton.hidden = !running;
    if (had) this.focus();
  }

  get empty() {
    return !this.text.value.trim();
  }

  /** What goes out with the words. */
  set files(files) {
    this.#files = files;
    this.filesChanged();
  }

  filesChanged() {
    const files = this.#files;
    const busy = files?.busy ?? false;
    this.sendButton.disabled = busy || (this.empty && (files?.empty ?? true));
    this.sendButton.title = busy ? "Files are on their way" : "Send (Enter)";
  }

  fill(text) {
    this.text.value = text;
    this.#changed();
    this.focus();
  }

  focus() {
    this.text.focus({ preventScroll: true });
  }

  #submit() {
    const text = this.text.value;
    if (this.sendButton.disabled) return;
    this.text.value = "";
    const files = this.#files?.take() ?? [];
    this.#changed();
    this.actions.say(text.trim(), files);
    this.focus();
  }

  #pressed(event) {
    // While an input method composes, Enter belongs to it.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.keyCode === 229) return;
    event.preventDefault();
    this.#submit();
  }

  #anywhere(event) {
    if (event.key === "Escape" && !event.isComposing && !this.stopButton.hidden) {
      event.preventDefault();
      this.actions.stop();
    }
    const elsewhere = !document.activeElement || document.activeElement === document.body
      || document.activeElement.id === "scroller";
    const plain = event.key.length === 1 && event.key !== " " && !event.ctrlKey && !event.metaKey
      && !event.altKey;
    if (elsewhere && plain) this.focus();
  }

  #changed() {
    this.filesChanged();
    this.text.style.height = "auto";
    const tallest = Math.min(innerHeight * TALLEST, 320);
    this.text.style.height = `${Math.min(this.text.scrollHeight, tallest)}px`;
    this.text.style.overflowY = this.text.scrollHeight > tallest ? "auto" : "hidden";
    try {
      if (this.empty) sessionStorage.removeItem(this.#key);
      else sessionStorage.setItem(this.#key, this.text.value);
    } catch {
      // Storage is full or switched off: a reload then loses what is half written.
    }
  }

  #restore() {
    try {
      this.text.value = sessionStorage.getItem(this.#key) ?? "";
    } catch {
      // As above.
    }
    this.#changed();
  }
}
