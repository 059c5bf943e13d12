// The lines of a conversation as elements.

import { sentFiles } from "./files.js";
import { button, copyButton, idButton, make, timestamp } from "./make.js";

/** What a person said; `frame` is a `said` frame, or a line of ours that only we saw, maybe with a
 * `mark` that tells what became of it. */
export function saidLine(frame) {
  const meta = make("div", { className: "meta" }, timestamp(frame.at), idButton(frame.message_id));
  if (frame.mark) setMark(meta, frame.mark);
  const words = { className: "bubble", textContent: frame.content, hidden: !frame.content };
  const parts = [sentFiles(frame.files), make("div", words), meta];
  return make("article", { className: "message said", ariaLabel: "You" }, ...parts);
}

/** What the assistant or the daemon said; `frame` is a `message` frame. */
export function spokenLine(frame) {
  const text = make("div", { className: "markdown" });
  // Rendered and sanitised by the daemon, which never passes a model's own HTML through.
  text.innerHTML = frame.html;
  dress(text);
  const meta = make("div", { className: "meta" }, timestamp(frame.at));
  meta.append(copyButton("this message", () => frame.content), idButton(frame.message_id));
  if (frame.interrupted) setMark(meta, "Stopped before the end");
  const label = frame.kind === "notice" ? "Notice" : "OpenCraw";
  const className = `message ${frame.kind}`;
  const parts = [usedTools(frame.tools), text, choices(frame.choice), meta];
  const line = make("article", { className, ariaLabel: label }, ...parts);
  line.dataset.message = frame.message_id;
  return line;
}

/** Have a line say something else, and ask nothing any more; `frame` is a `changed` frame. */
export function changeLine(line, frame) {
  const text = line.querySelector(".markdown");
  text.innerHTML = frame.html;
  dress(text);
  line.querySelector(".choices")?.remove();
}

// Whoever listens is told by an event what was chosen.
function choices(choice) {
  if (!choice) return "";
  const root = make("div", { className: "choices", role: "group", ariaLabel: "Your answer" });
  root.dataset.choice = choice.id;
  for (const { name, label } of choice.options) {
    const choose = () => {
      const detail = { choice: choice.id, option: name };
      root.dispatchEvent(new CustomEvent("choose", { bubbles: true, detail }));
    };
    root.append(button(label, `Answer: ${label}`, choose));
  }
  return root;
}

function setMark(meta, words) {
  meta.classList.add("stays");
  meta.prepend(make("span", { className: "mark", textContent: words }));
}

function usedTools(names) {
  const counts = new Map();
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1);
  const chips = Array.from(counts, ([name, count]) =>
    toolChip(name, count > 1 ? `used ${count} times` : "used", "used"));
  return make("div", { className: "tools" }, ...chips);
}

// Steps that are no tools have names that only programs know.
const NAMES = { compaction: "summing up" };

export function toolChip(name, words, state) {
  const parts = [make("b", { textContent: NAMES[name] ?? name }), make("span", { textContent: words })];
  const chip = make("div", { className: "tool" }, ...parts);
  chip.dataset.state = state;
  return chip;
}

/** Give code its bar and tables room to scroll. */
export function dress(root) {
  for (const block of root.querySelectorAll("pre")) {
    const language = make("span", { textContent: block.dataset.language ?? "" });
    const bar = make("div", { className: "code-bar" }, language);
    bar.append(copyButton("this code", () => block.textContent));
    const frame = make("div", { className: "code" }, bar);
    block.replaceWith(frame);
    block.tabIndex = 0;
    frame.append(block);
  }
  for (const table of root.querySelectorAll("table")) {
    const frame = make("div", { className: "table", tabIndex: 0 });
    table.replaceWith(frame);
    frame.append(table);
  }
}
