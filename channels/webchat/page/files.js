// Files that are to go out with the next message: each is handed in by itself, as soon as it is chosen.

import { button, make } from "./make.js";
import { currentToken } from "./place.js";

/** What people call the types that are taken; others are shown by their own names. */
const KINDS = {
  "image/*": "pictures",
  "text/*": "texts",
  "audio/*": "recordings",
  "application/pdf": "PDF",
  "application/json": "JSON",
  "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "Word",
};
const SHOWN = /^image\/(?:png|jpeg|gif|webp)$/;

export function inWords(size) {
  if (size === null || size === undefined) return "";
  if (size >= 1_000_000) return `${(size / 1_000_000).toFixed(1).replace(".0", "")} MB`;
  return `${Math.max(1, Math.round(size / 1000))} kB`;
}

/** Calls `changed()` when there are others, and for each that is not taken `refused(words)`, which
 * returns the element that says so: it goes when the message goes. */
export class Files {
  #chosen = [];
  /** Those for which there is no place before the daemon has said what it takes of the others. */
  #waiting = [];
  #refusals = [];
  #limits = null;

  constructor({ list, pick, attach, target, text }, { changed, refused }) {
    this.list = list;
    this.pick = pick;
    this.attach = attach;
    this.changed = changed;
    this.refused = refused;
    attach.addEventListener("click", () => pick.click());
    pick.addEventListener("change", () => {
      this.add(pick.files);
      pick.value = "";
    });
    text.addEventListener("paste", (event) => {
      // What is copied from a document may have a picture of itself along: then it is a text.
      if (!event.clipboardData?.files.length || event.clipboardData.getData("text/plain")) return;
      event.preventDefault();
      this.add(event.clipboardData.files);
    });
    this.#takeDropped(target);
  }

  /** Which files the daemon takes; null is none. */
  set limits(limits) {
    this.#limits = limits;
    this.attach.hidden = !limits;
    if (limits) this.pick.accept = limits.types.join(",");
  }

  get empty() {
    return !this.#chosen.length;
  }

  get busy() {
    return this.#chosen.some((each) => !each.source);
  }

  add(files) {
    for (const file of files) {
      const reason = this.#refusal(file);
      if (reason) this.#refuse(file, reason);
      else this.#waiting.push(file);
    }
    this.#fill();
  }

  #fill() {
    const most = this.#limits?.max_per_message ?? 0;
    while (this.#waiting.length && this.#chosen.length < most) this.#handIn(this.#waiting.shift());
    if (this.busy) return;
    for (const file of this.#waiting.splice(0)) this.#refuse(file, `a message may bring ${most} files.`);
  }

  /** What is ready to go out with a message. The list is empty then. */
  take() {
    const ready = this.#chosen.map(({ source, name, content_type, size }) =>
      ({ source, name, content_type, size }));
    for (const each of this.#chosen) each.element.remove();
    this.#chosen = [];
    for (const element of this.#refusals) element.remove();
    this.#refusals = [];
    this.#show();
    return ready;
  }

  #refuse({ name }, reason) {
    const words = reason[0].toLowerCase() + reason.slice(1);
    this.#refusals.push(this.refused(`${plain(name) || "The file"} was not taken: ${words}`));
  }

  #refusal(file) {
    const limits = this.#limits;
    if (!limits) return "no files are taken here.";
    if (file.size > limits.max_bytes) {
      return `it has ${inWords(file.size)}, and files may have ${inWords(limits.max_bytes)}.`;
    }
    return file.size ? "" : "it is empty.";
  }

  #taken() {
    return `Taken are ${this.#limits.types.map((type) => KINDS[type] ?? type).join(", ")}.`;
  }

  #handIn(file) {
    const entry = { name: file.name, content_type: file.type, size: file.size, source: "" };
    const shown = plain(file.name) || "file";
    const bar = make("progress", { max: 1, value: 0, ariaLabel: `Sending ${shown}` });
    const remove = button("×", `Remove ${shown}`, () => {
      request.abort();
      this.#drop(entry);
    });
    remove.setAttribute("aria-label", `Remove ${shown}`);
    const label = make("span", { className: "name", textContent: shown });
    const size = make("span", { className: "size", textContent: inWords(file.size) });
    entry.element = make("li", {}, thumbnail(file), label, size, bar, remove);
    this.list.append(entry.element);
    this.#chosen.push(entry);
    const request = this.#send(file, entry, bar);
    this.#show();
  }

  #send(file, entry, bar) {
    const request = new XMLHttpRequest();
    const address = new URL("files", location.href);
    address.hash = "";
    address.search = new URLSearchParams({ name: file.name, type: file.type });
    request.open("POST", address);
    request.setRequestHeader("Authorization", `Bearer ${currentToken()}`);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.responseType = "json";
    request.upload.onprogress = ({ loaded, total }) => (bar.value = loaded / total);
    request.onload = () => {
      if (request.status !== 201) {
        const why = request.response?.error?.message;
        this.#failed(entry, why ? `${why} ${this.#taken()}` : "it could not be sent.");
        return;
      }
      Object.assign(entry, request.response);
      bar.remove();
      entry.element.classList.add("ready");
      this.#fill();
      this.changed();
    };
    request.onerror = () => this.#failed(entry, "there is no connection. Add it again later.");
    request.send(file);
    return request;
  }

  #failed(entry, reason) {
    this.#drop(entry);
    this.#refuse(entry, reason);
  }

  #drop(entry) {
    this.#chosen = this.#chosen.filter((each) => each !== entry);
    entry.element.remove();
    this.#fill();
    this.#show();
  }

  #show() {
    this.list.hidden = this.empty;
    this.changed();
  }

  #takeDropped(target) {
    const brings = (event) => event.dataTransfer?.types.includes("Files") && this.#limits;
    // Without this a browser leaves the page and opens what is dropped.
    target.addEventListener("dragover", (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      target.classList.toggle("receives", Boolean(brings(event)));
    });
    target.addEventListener("dragleave", (event) => {
      if (!target.contains(event.relatedTarget)) target.classList.remove("receives");
    });
    target.addEventListener("drop", (event) => {
      target.classList.remove("receives");
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      this.add(event.dataTransfer.files);
    });
  }
}

/** A name without the signs that turn the direction of what follows: they make a program look like
 * a picture. */
const plain = (name) => name.replace(/[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, "");

function thumbnail(file) {
  if (!SHOWN.test(file.type)) return "";
  const picture = make("img", { alt: "", src: URL.createObjectURL(file) });
  picture.onload = () => URL.revokeObjectURL(picture.src);
  return picture;
}

/** The files of a line that was said, as elements. */
export function sentFiles(files) {
  if (!files?.length) return "";
  return make("div", { className: "sent" }, ...files.map((file) => sentFile(file)));
}

function sentFile(file) {
  if (file.problem) {
    const words = make("span", { textContent: file.problem });
    return make("div", { className: "file refused" }, name(file), words);
  }
  if (!file.id) return make("div", { className: "file" }, name(file), size(file));
  if (file.is_picture) return pictureOf(file);
  const save = button("", `Save ${file.name}`, () => saveFile(file));
  save.className = "file";
  save.append(name(file), size(file));
  return save;
}

const name = (file) => make("b", { textContent: file.name });
const size = (file) => make("span", { textContent: inWords(file.size) });

function pictureOf(file) {
  const picture = make("img", { alt: file.name, title: file.name });
  const frame = button("", `Save ${file.name}`, () => saveFile(file));
  frame.className = "picture";
  frame.append(picture);
  const seen = new IntersectionObserver(async (entries) => {
    if (!entries.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    try {
      const address = URL.createObjectURL(await bytesOf(file));
      picture.onload = () => URL.revokeObjectURL(address);
      picture.src = address;
    } catch {
      frame.replaceChildren(name(file), size(file));
      frame.className = "file";
    }
  }, { rootMargin: "400px" });
  seen.observe(frame);
  return frame;
}

async function bytesOf(file) {
  const headers = { Authorization: `Bearer ${currentToken()}` };
  const answer = await fetch(`api/v1/os/attachments/${file.id}`, { headers });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  return answer.blob();
}

async function saveFile(file) {
  let blob;
  try {
    blob = await bytesOf(file);
  } catch {
    return;
  }
  const address = URL.createObjectURL(blob);
  make("a", { href: address, download: file.name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
