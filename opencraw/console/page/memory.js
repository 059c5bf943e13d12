// What is remembered, for the person it is about. Anybody may have said it: it enters the page as
// text, never as HTML, and nothing in it decides where a request goes.

import { arrive, ask, Problem, signIn, told } from "./access.js";

const UNDO_SECONDS = 5;
const PAGE = 50;
const LONG = 600;
const KINDS = { pre_compaction_flush: "from a conversation", summary: "a summary" };

const find = (id) => document.getElementById(id);
const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });

/** Forgotten here and not yet by the daemon: by id, how to tell it. */
const leaving = new Map();
let scopes = [];
let scope = null;
let next = null;
/** Counts what was asked for the list: only the last answer is shown. */
let asked = 0;

// Elements

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

function button(text, action, properties = {}) {
  const element = make("button", { type: "button", textContent: text, ...properties });
  element.addEventListener("click", action);
  return element;
}

const counted = (number, noun, nouns) => `${number.toLocaleString()} ${number === 1 ? noun : nouns}`;

function whose({ kind, channel_id: channel, name }) {
  if (kind === "agent") return "the assistant itself, for everybody";
  return kind === "person" ? `${channel} · ${name}` : `${channel} · ${name} (shared)`;
}

/** Say what went wrong, and offer to do it again. */
function complain(error, again) {
  if (error.status === 401) return signIn(401, begin);
  const problem = make("div", { className: "problem" }, make("span", { textContent: error.message }));
  problem.append(button("Try again", () => {
    find("problem").replaceChildren();
    again();
  }));
  find("problem").replaceChildren(problem);
  if (!(error instanceof Problem)) throw error;
}

const say = (words) => (find("spoken").textContent = words);

// Reading

async function begin() {
  asked += 1;
  find("problem").replaceChildren();
  find("items").removeAttribute("aria-busy");
  let known;
  try {
    known = (await told("GET", "scopes")).scopes;
  } catch (error) {
    if (error.code === "MEMORY_DISABLED") return show("off");
    if (error.signsOut) return signIn(error.status, begin);
    return complain(error, begin);
  }
  scopes = known.toSorted((one, other) => other.newest.localeCompare(one.newest));
  const wanted = new URLSearchParams(location.hash.slice(1)).get("scope");
  scope = scopes.find((each) => each.scope === wanted) ?? scopes[0] ?? null;
  offerScopes();
  show(scope ? "items" : "empty");
  if (scope) await load();
}

function show(state) {
  find("off").hidden = state !== "off";
  find("empty").hidden = state !== "empty";
  for (const id of ["look", "items", "all"]) find(id).hidden = state !== "items";
  find("older").hidden = true;
  find("count").textContent = "";
}

function offerScopes() {
  const options = scopes.map((each) => new Option(`${whose(each)} (${each.items})`, each.scope));
  find("scope").replaceChildren(...options);
  find("whose").hidden = scopes.length < 2;
  if (scope) find("scope").value = scope.scope;
}

async function choose(name) {
  scope = scopes.find((each) => each.scope === name);
  find("query").value = "";
  const hash = new URLSearchParams({ scope: name });
  history.replaceState(null, "", `${location.pathname}#${hash}`);
  await load();
}

/** Show the newest memories, or those that fit what stands in the search field. */
async function load() {
  const mine = ++asked;
  const query = find("query").value.trim();
  find("items").setAttribute("aria-busy", "true");
  find("problem").replaceChildren();
  try {
    await settle();
    const answer = query
      ? await told("POST", "search", { body: { scope: scope.scope, query, limit: PAGE } })
      : await told("GET", "items", { query: { scope: scope.scope, limit: PAGE } });
    if (mine !== asked) return;
    find("items").replaceChildren(...answer.items.map(memory));
    offerOlder(answer.next);
    count(query ? answer.items.length : null);
  } catch (error) {
    if (mine === asked) complain(error, load);
  } finally {
    if (mine === asked) find("items").removeAttribute("aria-busy");
  }
}

async function older() {
  const mine = asked;
  find("older").disabled = true;
  try {
    const query = { scope: scope.scope, limit: PAGE, before: next };
    const answer = await told("GET", "items", { query });
    if (mine !== asked) return;
    const added = answer.items.map(memory);
    find("items").append(...added);
    offerOlder(answer.next);
    // The button moved away from under the keyboard.
    added[0]?.querySelector("button").focus();
  } catch (error) {
    complain(error, older);
  } finally {
    find("older").disabled = false;
  }
}

function offerOlder(place) {
  next = place ?? null;
  find("older").hidden = next === null;
}

function count(found = null) {
  const about = whose(scope);
  let words = `${counted(scope.items, "memory", "memories")} about ${about}`;
  if (found) words = `${found} found about ${about}, the best first`;
  else if (found === 0) words = `Nothing about ${about} fits. Try other words, or fewer.`;
  find("count").textContent = words;
}

// One memory

function memory(item) {
  const element = make("li", { className: "item" });
  draw(element, item);
  return element;
}

function draw(element, item) {
  const text = make("p", { textContent: item.text, dir: "auto" });
  const at = new Date(item.corrected_at ?? item.said_at);
  const time = make("time", { textContent: moment.format(at), title: exact.format(at) });
  time.dateTime = at.toISOString();
  const about = make("div", { className: "about" }, time);
  const kind = item.corrected_at ? "corrected" : KINDS[item.kind];
  if (kind) about.append(make("span", { textContent: kind }));
  about.append(make("span", { className: "does" },
    button("Correct", () => correct(element, item), { ariaLabel: `Correct: ${start(item)}` }),
    button("Forget", () => forget(element, item), { ariaLabel: `Forget: ${start(item)}` })));
  element.className = "item";
  element.replaceChildren(text);
  if (item.text.length > LONG) element.append(unfold(text));
  element.append(about);
}

function unfold(text) {
  text.classList.add("clipped");
  const element = button("Show all of it", () => {
    const clipped = text.classList.toggle("clipped");
    element.textContent = clipped ? "Show all of it" : "Show less";
    element.ariaExpanded = String(!clipped);
  }, { className: "whole", ariaExpanded: "false" });
  return element;
}

const start = (item) => (item.text.length > 60 ? `${item.text.slice(0, 60)}…` : item.text);

function correct(element, item) {
  const text = make("textarea", { value: item.text, ariaLabel: "What it is instead", dir: "auto" });
  const refused = make("p", { className: "refused", role: "alert" });
  const back = () => {
    draw(element, item);
    element.querySelector(".does button").focus();
  };
  const save = button("Save", async () => {
    if (!text.value.trim() || text.value.trim() === item.text) return back();
    save.disabled = true;
    try {
      const query = { scope: item.scope };
      const body = { text: text.value.trim() };
      ({ item } = await told("PATCH", `items/${item.id}`, { query, body }));
      say("Corrected.");
      back();
    } catch (error) {
      if (error.status === 401) return signIn(401, begin);
      refused.textContent = error.message;
      save.disabled = false;
    }
  }, { className: "main" });
  text.addEventListener("keydown", (event) => {
    if (event.key === "Escape") back();
    else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) save.click();
  });
  element.className = "item correcting";
  element.replaceChildren(text, refused, make("div", { className: "choices" }, button("Cancel", back), save));
  text.focus();
}

// Forgetting

/** Take it away at once, and tell the daemon when there was time to think better of it. */
function forget(element, item) {
  const undo = button("Undo", () => {
    clearTimeout(timer);
    leaving.delete(item.id);
    draw(element, item);
    element.querySelectorAll(".does button")[1].focus();
    say("It is still remembered.");
  });
  const send = async (keepalive = false) => {
    clearTimeout(timer);
    leaving.delete(item.id);
    undo.disabled = true;
    try {
      await ask("DELETE", `items/${item.id}`, { query: { scope: item.scope }, keepalive });
    } catch (error) {
      // Somebody else was quicker.
      if (error.status !== 404) {
        draw(element, item);
        return complain(error, () => forget(element, item));
      }
    }
    remove(element, item);
  };
  const timer = setTimeout(send, UNDO_SECONDS * 1000);
  leaving.set(item.id, send);
  element.className = "item gone";
  element.replaceChildren(make("p", { textContent: `Forgotten: ${start(item)}`, dir: "auto" }), undo);
  undo.focus();
  say(`Forgotten. For ${UNDO_SECONDS} seconds this can be undone.`);
}

function remove(element, item) {
  const neighbour = element.nextElementSibling ?? element.previousElementSibling;
  const focused = element.contains(document.activeElement);
  element.remove();
  if (focused) (neighbour?.querySelector("button") ?? find("query")).focus();
  const from = scopes.find((each) => each.scope === item.scope);
  if (!from) return;
  from.items -= 1;
  if (from === scope && !from.items) begin();
  else if (from === scope && !find("query").value.trim()) count();
}

/** Tell the daemon of all that is still waiting to be forgotten. */
const settle = (keepalive = false) => Promise.all([...leaving.values()].map((send) => send(keepalive)));

async function forgetAll() {
  const name = scope.scope;
  const left = Math.max(0, scope.items - leaving.size);
  const what = `${counted(left, "memory", "memories")} about ${whose(scope)}`;
  find("sure-text").textContent = `${what} will be gone for good. The conversations themselves stay.`;
  // Some browsers leave the last answer there when Escape closes the dialog.
  find("sure").returnValue = "keep";
  find("sure").showModal();
  await new Promise((done) => find("sure").addEventListener("close", done, { once: true }));
  if (find("sure").returnValue !== "forget") return;
  try {
    await settle();
    await told("POST", "forget", { body: { scope: name, confirm: name } });
    say("All of it is forgotten.");
    await begin();
  } catch (error) {
    complain(error, forgetAll);
  }
}

async function download() {
  find("export").disabled = true;
  try {
    await settle();
    const file = await (await ask("GET", "export", { query: { scope: scope.scope } })).blob();
    const link = make("a", { href: URL.createObjectURL(file), download: "opencraw-memory.jsonl" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  } catch (error) {
    complain(error, download);
  } finally {
    find("export").disabled = false;
  }
}

async function offerChat() {
  // Its channel may be off.
  const answer = await fetch("./", { method: "HEAD" }).catch(() => null);
  find("chat").hidden = !answer?.ok;
}

let typing = 0;
find("query").addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(load, 250);
});
find("look").addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(typing);
  load();
});
find("scope").addEventListener("change", (event) => choose(event.target.value));
find("older").addEventListener("click", older);
find("export").addEventListener("click", download);
find("forget-all").addEventListener("click", forgetAll);
// Who said "forget" and left meant it.
addEventListener("pagehide", () => settle(true));

arrive(begin);
offerChat();
