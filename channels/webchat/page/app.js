// The page's parts, put together.

import { Composer } from "./composer.js";
import { Conversation } from "./conversation.js";
import { Files } from "./files.js";
import { Link } from "./link.js";
import { button, make } from "./make.js";
import { Outbox } from "./outbox.js";
import { Pending } from "./pending.js";
import { arrive, currentToken } from "./place.js";
import { showSignIn } from "./sign_in.js";
import { Thread } from "./thread.js";

const SUGGESTIONS = [
  "What can you do for me?",
  "What time is it in Tokyo?",
  "Write a short packing list for a rainy weekend, in Markdown.",
];
const PROBLEM_SECONDS = 12;

const find = (id) => document.getElementById(id);

function start(chat) {
  find("chat").hidden = false;
  find("chat-name").textContent = chat === "main" ? "" : chat;
  const outbox = new Outbox(chat);
  const thread = new Thread({
    scroller: find("scroller"), lines: find("lines"), drafts: find("drafts"), jump: find("newest"),
  });
  const pending = new Pending(find("pending"), outbox, {
    retry: (message) => conversation.retry(message),
    discard: (message) => conversation.discard(message),
    withdraw: (id) => conversation.withdraw(id),
  });
  const parts = { form: find("composer"), text: find("text"), send: find("send"), stop: find("stop") };
  const composer = new Composer(parts, chat, {
    say: (text, files) => conversation.say(text, files),
    stop: () => conversation.stop(),
  });
  const files = new Files({
    list: find("files"), pick: find("pick"), attach: find("attach"), target: find("chat"),
    text: find("text"),
  }, { changed: () => composer.filesChanged(), refused: showRefusal });
  composer.files = files;
  const view = makeView({ thread, pending, composer, files });
  const link = new Link({
    chat,
    token: currentToken,
    heard: (frame) => conversation.hear(frame),
    changed: (state, seconds) => {
      showConnection(state, seconds, () => link.retry());
      pending.connected = state === "open";
      pending.show();
      view.refresh();
    },
    refused: (status) => showSignIn(status),
  });
  const send = (frame) => link.send(frame);
  const conversation = new Conversation({ thread, pending, outbox, send, view });
  link.check(() => conversation.question());
  for (const text of SUGGESTIONS) {
    find("suggestions").append(button(text, "Say this", () => conversation.say(text)));
  }
  find("earlier").addEventListener("click", () => conversation.earlier());
  pending.show();
  link.open();
  if (matchMedia("(hover: hover)").matches) composer.focus();
}

function makeView({ thread, pending, composer, files }) {
  let loaded = false;
  let unseen = 0;
  document.addEventListener("visibilitychange", () => {
    unseen = 0;
    document.title = "OpenCraw";
  });
  return {
    greet({ model, demo, files: limits }) {
      files.limits = limits ?? null;
      find("model").textContent = model;
      find("demo").hidden = !demo;
    },
    loading(busy, more) {
      const earlier = find("earlier");
      // Reading fifty old messages aloud helps nobody.
      find("lines").setAttribute("aria-busy", String(busy));
      earlier.disabled = busy;
      earlier.textContent = busy ? "Loading…" : "Load earlier messages";
      if (busy) return;
      earlier.hidden = !more;
      loaded = true;
    },
    loadingFailed(known) {
      find("earlier").disabled = false;
      find("earlier").textContent = "Load earlier messages";
      // Nothing is known of this chat yet: offer to try, rather than to begin.
      find("earlier").hidden &&= known;
    },
    refresh() {
      find("empty").hidden = !loaded || !thread.empty || pending.count > 0;
      composer.running = thread.running && pending.connected;
    },
    spoke() {
      if (document.visibilityState === "visible") return;
      unseen += 1;
      document.title = `(${unseen}) OpenCraw`;
    },
    returned(text) {
      find("spoken").textContent = "The message was taken back.";
      if (composer.empty) composer.fill(text);
    },
    problem: showProblem,
  };
}

function showConnection(state, seconds, retry) {
  const words = {
    opening: "Connecting…",
    open: "Connected",
    waiting: seconds ? `Not connected, trying again in ${seconds} s` : "Connecting…",
    closed: "Signed out",
  }[state];
  const element = find("connection");
  if (element.dataset.state !== state) element.setAttribute("aria-live", "polite");
  // The seconds are for the eye; read aloud every second they would be a nuisance.
  else element.setAttribute("aria-live", "off");
  element.dataset.state = state;
  element.replaceChildren(make("span", { textContent: words }));
  if (state === "waiting") element.append(button("Now", "Connect now", retry));
}

/** What went wrong just now; the next one takes its place. */
function showProblem(words) {
  const text = words === "offline"
    ? "There is no connection to OpenCraw at the moment. Try again when it is back."
    : words;
  const problem = dismissible("problem", text);
  find("problems").querySelector(".problem:not(.refusal)")?.remove();
  find("problems").append(problem);
  setTimeout(() => problem.remove(), PROBLEM_SECONDS * 1000);
}

/** What does not go along with the message: one line for each file, for as long as that matters. */
function showRefusal(words) {
  const refusal = dismissible("problem refusal", words);
  find("problems").append(refusal);
  return refusal;
}

function dismissible(className, words) {
  const element = make("div", { className }, make("span", { textContent: words }));
  const close = button("×", "Dismiss", () => element.remove());
  close.setAttribute("aria-label", "Dismiss");
  element.append(close);
  return element;
}

const chat = arrive();
if (currentToken()) start(chat);
else showSignIn(null);
