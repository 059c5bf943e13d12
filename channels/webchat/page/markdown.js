// Markdown while it is being written. The daemon renders what is finished; this shows what is not yet
// finished in the same shape, so that nothing jumps when the finished text takes its place. It knows
// the common forms only, builds elements and never HTML, and touches only the blocks that changed.

import { dress } from "./lines.js";
import { make } from "./make.js";

export class GrowingText {
  #root;
  #blocks = [];

  constructor(root) {
    this.#root = root;
  }

  show(text) {
    const blocks = split(text);
    let same = 0;
    while (same < blocks.length && blocks[same] === this.#blocks[same]) same += 1;
    while (this.#root.children.length > same) this.#root.lastElementChild.remove();
    for (const block of blocks.slice(same)) this.#root.append(blockElement(block));
    this.#blocks = blocks;
  }
}

const FENCE = /^ {0,3}(```+|~~~+)\s*([A-Za-z0-9+#.-]*)/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])\s+/;

/** The texts of the blocks: fences whole, everything else by blank lines and changes of kind. */
function split(text) {
  const blocks = [];
  let current = [];
  let fence = null;
  let kind = "";
  const end = () => {
    if (current.length) blocks.push(current.join("\n"));
    current = [];
  };
  for (const line of text.split("\n")) {
    const mark = FENCE.exec(line)?.[1];
    if (fence) {
      current.push(line);
      if (mark && mark.startsWith(fence)) {
        fence = null;
        end();
      }
      continue;
    }
    const next = mark ? "fence" : kindOf(line, kind);
    if (next !== kind || next === "heading" || next === "rule") end();
    kind = next;
    if (mark) fence = mark;
    if (kind !== "blank") current.push(line);
  }
  end();
  return blocks;
}

function kindOf(line, before) {
  if (!line.trim()) return before === "list" ? "list" : "blank";
  if (/^ {0,3}#{1,6}(\s|$)/.test(line)) return "heading";
  if (/^ {0,3}([-*_])(\s*\1){2,}\s*$/.test(line)) return "rule";
  if (ITEM.test(line) || (before === "list" && /^\s{2,}/.test(line))) return "list";
  if (/^ {0,3}>/.test(line)) return "quote";
  if (/^ {0,3}\|/.test(line)) return "table";
  return "paragraph";
}

function blockElement(block) {
  const fence = FENCE.exec(block);
  if (fence) return codeElement(block, fence);
  const heading = /^ {0,3}(#{1,6})\s+(.*)/.exec(block);
  if (heading) return make(`h${heading[1].length}`, {}, ...inline(heading[2]));
  if (kindOf(block.split("\n", 1)[0], "") === "rule") return make("hr");
  if (ITEM.test(block)) return listElement(block.split("\n"));
  if (/^ {0,3}>/.test(block)) {
    const inner = block.replace(/^ {0,3}> ?/gm, "");
    return make("blockquote", {}, make("p", {}, ...inline(inner)));
  }
  if (/^ {0,3}\|.*\n {0,3}\|[\s:|-]*-[\s:|-]*/.test(block)) return tableElement(block.split("\n"));
  return make("p", {}, ...inline(block));
}

function codeElement(block, fence) {
  const lines = block.split("\n").slice(1);
  if (lines.length && FENCE.exec(lines.at(-1))?.[1].startsWith(fence[1])) lines.pop();
  const pre = make("pre", {}, make("code", { textContent: lines.join("\n") }));
  if (fence[2]) pre.dataset.language = fence[2].toLowerCase();
  const holder = make("div", {}, pre);
  dress(holder);
  return holder.firstElementChild;
}

function listElement(lines) {
  // Each level is a list and the column in which its items begin.
  const levels = [];
  let root = null;
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (!item) {
      if (line.trim()) levels.at(-1).list.lastElementChild.append("\n", ...inline(line.trim()));
      continue;
    }
    const column = item[1].length;
    while (levels.length > 1 && column < levels.at(-1).column) levels.pop();
    if (!levels.length || column > levels.at(-1).column + 1) {
      const numbered = /\d/.test(item[2]);
      const list = make(numbered ? "ol" : "ul");
      if (numbered) list.start = parseInt(item[2], 10);
      if (levels.length) levels.at(-1).list.lastElementChild.append(list);
      else root = list;
      levels.push({ list, column });
    }
    levels.at(-1).list.append(make("li", {}, ...inline(line.slice(item[0].length))));
  }
  return root;
}

function tableElement(lines) {
  const cells = (line) => line.trim().replace(/^\||\|$/g, "").split("|");
  const align = cells(lines[1]).map((mark) =>
    /-:\s*$/.test(mark) ? (/^\s*:/.test(mark) ? "center" : "right") : "left");
  const row = (line, tag) => {
    const given = cells(line);
    // The row that is being written has all its cells from the start.
    return make("tr", {}, ...align.map((side, column) => {
      const element = make(tag, {}, ...inline((given[column] ?? "").trim()));
      element.setAttribute("align", side);
      return element;
    }));
  };
  const body = make("tbody", {}, ...lines.slice(2).map((line) => row(line, "td")));
  const table = make("table", {}, make("thead", {}, row(lines[0], "th")), body);
  return make("div", { className: "table" }, table);
}

const INLINE = new RegExp(
  [
    "(?<tick>`+)(?<code>.+?)\\k<tick>(?!`)",
    "\\*\\*(?<strong>\\S(?:.*?\\S)?)\\*\\*",
    "~~(?<gone>\\S(?:.*?\\S)?)~~",
    "(?<![\\w*])\\*(?<em>[^\\s*](?:[^*]*[^\\s*])?)\\*(?!\\*)",
    "!?\\[(?<label>[^\\]]*)\\]\\((?<target>[^)\\s]*)[^)]*\\)",
    "(?<address>https?://[^\\s<>\"`]*[^\\s<>\"`.,:;!?')\\]*_~])",
  ].join("|"),
  "gs",
);

function* inline(text) {
  let end = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > end) yield* withBreaks(text.slice(end, match.index));
    const { code, strong, gone, em, label, target, address } = match.groups;
    if (code !== undefined) yield make("code", { textContent: code.replace(/^ (.+) $/, "$1") });
    else if (strong !== undefined) yield make("strong", {}, ...inline(strong));
    else if (gone !== undefined) yield make("s", {}, ...inline(gone));
    else if (em !== undefined) yield make("em", {}, ...inline(em));
    else yield link(address ?? target, address ?? label);
    end = match.index + match[0].length;
  }
  if (end < text.length) yield* withBreaks(text.slice(end));
}

function* withBreaks(text) {
  for (const [index, line] of text.split("\n").entries()) {
    if (index) yield make("br");
    if (line) yield line;
  }
}

function link(target, label) {
  if (!/^https?:\/\//i.test(target)) return label;
  const rel = "noopener noreferrer nofollow";
  return make("a", { href: target, textContent: label || target, target: "_blank", rel });
}
