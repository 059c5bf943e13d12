// What the daemon says, turned into what is seen. docs/webchat.md describes the frames.

const HISTORY = 50;
const LONGEST_TEXT = 1_000_000;
// The daemon closes a socket that sends a larger frame, and then we would send it again for ever.
const LARGEST_FRAME = 1_190_000;
const FIRST_RETRY = 2_000;
const LONGEST_RETRY = 30_000;
// An accepted message that neither waits nor was said was taken back elsewhere.
const ACCEPTED_PATIENCE = 10_000;
const DRAFT_PATIENCE = 10_000;

export class Conversation {
  #lastSeq = null;
  #token = "";
  #known = false;
  #resuming = true;
  #stale = new Set();
  #asking = null;
  #commands = new Set();

  constructor({ thread, pending, outbox, send, view }) {
    this.thread = thread;
    this.pending = pending;
    this.outbox = outbox;
    this.send = send;
    this.view = view;
    thread.linesRoot.addEventListener("choose", ({ detail }) => this.#choose(detail));
  }

  say(text, files = []) {
    const message = this.outbox.add(text, files);
    const size = new TextEncoder().encode(JSON.stringify(text)).length;
    if (text.length > LONGEST_TEXT || size > LARGEST_FRAME) {
      const reason = "This is too long for one message. Discard it and send it in parts.";
      this.outbox.failed(message.id, reason, false);
    } else {
      this.#offer(message);
    }
    this.#refresh();
    this.thread.toBottom();
  }

  retry(message) {
    this.outbox.again(message);
    this.#offer(message);
    this.#refresh();
  }

  discard(message) {
    this.outbox.drop(message.id);
    this.#refresh();
  }

  withdraw(messageId) {
    if (!this.send({ type: "withdraw", message_id: messageId })) this.view.problem("offline");
  }

  stop() {
    if (!this.send({ type: "stop" })) {
      this.view.problem("offline");
      return;
    }
    // What waits is taken back with it. The words go back to where they were typed.
    const words = this.pending.waiting.map((waiting) =>
      this.outbox.find(waiting.client_message_id)?.text ?? waiting.content);
    for (const message of this.outbox.messages.filter((each) => each.state === "retrying")) {
      words.push(message.text);
      this.outbox.drop(message.id);
    }
    if (words.length) this.view.returned(words.join("\n\n"));
  }

  earlier() {
    this.#ask(this.thread.oldest);
  }

  /** A question that the daemon always answers. */
  question() {
    return { type: "resume", resume_token: this.#token, last_seq: this.#lastSeq };
  }

  hear(frame) {
    switch (frame.type) {
      case "hello": this.#hello(frame); break;
      case "history": this.#history(frame); break;
      case "resumed": this.#resumed(frame); break;
      case "ack": this.#ack(frame); break;
      case "queue": this.#queue(frame); break;
      case "said": this.#said(frame); break;
      case "message": this.#message(frame); break;
      case "typing": this.#typing(frame); break;
      case "delta": this.#delta(frame); break;
      case "tool": this.thread.draft(frame.run_id)?.tool(frame); break;
      case "withdrawn": this.#withdrawn(frame); break;
      case "changed": this.thread.change(frame); break;
      case "chosen": this.#chosen(frame); break;
      case "error": this.#error(frame); break;
      // A newer daemon may say more than this page knows.
    }
    this.#refresh();
  }

  #hello(frame) {
    const another = this.#token !== frame.resume_token;
    this.#token = frame.resume_token;
    this.view.greet(frame);
    // Another conversation goes on here, or the line number is smaller than before: the daemon has
    // another memory than last time.
    if (this.#lastSeq !== null && (another || frame.seq < this.#lastSeq)) {
      this.thread.clear();
      this.#lastSeq = null;
    }
    this.#resuming = true;
    this.#stale = new Set(this.thread.runs());
    this.#asking = null;
    if (this.#lastSeq === null) {
      this.#lastSeq = frame.seq;
      this.#known = false;
    }
    if (!this.#known) this.#ask(null);
    this.send(this.question());
    this.#queue(frame);
    for (const message of this.outbox.messages) {
      if (message.state === "sending" || message.state === "retrying") this.#offer(message);
    }
  }

  #ask(before) {
    if (this.#asking) return;
    const question = { type: "history", limit: HISTORY };
    if (before !== null) question.before = before;
    if (!this.send(question)) return;
    this.#asking = { before };
    this.view.loading(true);
  }

  #history({ messages, more }) {
    this.#asking = null;
    this.view.loading(false, more);
    for (const frame of messages) this.#settle(frame);
    this.thread.addOlder(messages);
    if (!this.#known) this.thread.toBottom();
    this.#known = true;
  }

  #resumed({ seq }) {
    this.#resuming = false;
    this.#lastSeq = Math.max(this.#lastSeq, seq, this.thread.newest);
    for (const run of this.#stale) this.thread.dropDraft(run);
    this.#stale.clear();
    for (const message of this.outbox.messages) {
      if (message.state === "accepted" && !this.#waits(message.id)) this.outbox.drop(message.id);
    }
  }

  #ack({ client_message_id: id, message_id, duplicate, muted }) {
    const message = this.outbox.acknowledged(id);
    if (!message) return;
    if (muted) {
      this.view.problem("The assistant is silent here: your message is kept, and not answered.");
    }
    if (muted || message.text.startsWith("/")) {
      // It never comes back as `said`; it stays in sight, a command above its answer.
      this.outbox.drop(id);
      const at = new Date(message.at).toISOString();
      const mark = muted ? "Kept, not answered" : "";
      if (!duplicate) this.thread.addOwn({ content: message.text, at, message_id, mark });
      return;
    }
    setTimeout(() => {
      if (message.state === "accepted" && !this.#waits(id)) this.discard(message);
    }, ACCEPTED_PATIENCE);
  }

  #waits(id) {
    return this.pending.waiting.some((message) => message.client_message_id === id);
  }

  #queue({ waiting }) {
    const waited = new Set(this.pending.waiting.map((message) => message.client_message_id));
    this.pending.waiting = waiting;
    for (const message of this.outbox.messages) {
      const taken = waited.has(message.id) && !this.#waits(message.id);
      if (taken && message.state === "accepted") this.outbox.drop(message.id);
    }
  }

  #said(frame) {
    this.#settle(frame);
    this.#line(frame);
  }

  #message(frame) {
    this.#settle(frame);
    if (this.#line(frame)) this.view.spoke(frame);
  }

  #line(frame) {
    if (!this.#resuming) this.#lastSeq = Math.max(this.#lastSeq, frame.seq);
    return this.thread.add(frame);
  }

  /** Take away what a durable line replaces. */
  #settle(frame) {
    if (frame.type === "said") {
      this.outbox.drop(frame.client_message_id);
      const waits = (message) => message.message_id !== frame.message_id;
      this.pending.waiting = this.pending.waiting.filter(waits);
    } else if (frame.run_id) {
      this.thread.finish(frame);
    }
  }

  #typing({ active, run_id: run }) {
    this.#stale.delete(run);
    if (active) {
      const draft = this.thread.draft(run);
      if (draft) draft.active = true;
    } else {
      this.thread.endDraft(run);
      // Nothing more may come: a turn can end without a word.
      setTimeout(() => this.thread.dropEnded(run), DRAFT_PATIENCE);
    }
  }

  #delta({ content, offset, run_id: run, attempt }) {
    this.#stale.delete(run);
    const draft = this.thread.draft(run);
    // Something before it was lost; a replay ends with the whole draft.
    if (draft?.lacks(offset) && !this.#resuming) this.send(this.question());
    draft?.grow(content, offset, attempt);
  }

  #withdrawn({ message_id: id, ok }) {
    const message = this.pending.waiting.find((waiting) => waiting.message_id === id);
    this.pending.waiting = this.pending.waiting.filter((waiting) => waiting !== message);
    if (!ok) {
      this.view.problem("It is too late to take that message back: it is being answered.");
      return;
    }
    const own = message && this.outbox.find(message.client_message_id);
    if (own) this.outbox.drop(own.id);
    if (message) this.view.returned(own?.text ?? message.content);
  }

  #choose({ choice, option }) {
    if (!this.send({ type: "choose", choice_id: choice, option })) {
      this.view.problem("offline");
      return;
    }
    this.thread.choosing(choice, false);
  }

  #chosen({ choice_id: choice, ok, message }) {
    if (ok) return;
    this.thread.choosing(choice, true);
    this.view.problem(message);
  }

  #error({ code, message: reason, retryable, client_message_id: id }) {
    // A full queue is for the person to decide about: what was refused may be out of date by then.
    const again = retryable && code !== "QUEUE_FULL";
    const failed = id && this.outbox.failed(id, reason, again);
    if (!failed) {
      // Which question went wrong the frame does not say; a history that was asked for may be it.
      if (this.#asking) this.view.loadingFailed(this.#known);
      this.#asking = null;
      this.view.problem(reason);
    } else if (again) {
      const delay = Math.min(LONGEST_RETRY, FIRST_RETRY * 2 ** (failed.tries - 1));
      setTimeout(() => {
        if (failed.state === "retrying" && this.outbox.find(id)) this.retry(failed);
      }, delay);
    }
  }

  #offer({ id, text, files }) {
    const frame = { type: "message", content: text, client_message_id: id };
    if (files?.length) frame.attachments = files.map((file) => file.source);
    this.send(frame);
  }

  #refresh() {
    this.pending.show();
    this.view.refresh();
  }
}
