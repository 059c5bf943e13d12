// Building elements. Text is always text: the only HTML that ever enters the page is the `html` of a
// `message` frame, which the daemon has rendered and sanitised.

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

export function button(text, title, action) {
  const element = make("button", { type: "button", textContent: text, title });
  element.addEventListener("click", action);
  return element;
}

export async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  // Over plain HTTP there is no clipboard interface.
  const area = make("textarea", { value: text, className: "unseen" });
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

export function copyButton(what, text, name = "Copy") {
  const element = button(name, `Copy ${what}`, async () => {
    try {
      await copy(text());
      element.textContent = "Copied";
    } catch {
      element.textContent = "Not allowed";
    }
    setTimeout(() => (element.textContent = name), 1500);
  });
  return element;
}

/** What `opencraw explain` wants to know. */
export function idButton(id) {
  return copyButton(`the id ${id}, for opencraw explain`, () => id, "Id");
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat(undefined, { dateStyle: "full", timeStyle: "medium" });
const thisYear = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const otherYear = new Intl.DateTimeFormat(undefined, { dateStyle: "long" });

export function timestamp(at) {
  const date = new Date(at);
  const element = make("time", { textContent: clock.format(date), title: exact.format(date) });
  element.dateTime = date.toISOString();
  return element;
}

export function dayOf(at) {
  const date = new Date(at);
  const midnight = (day) => new Date(day.getFullYear(), day.getMonth(), day.getDate());
  const ago = Math.round((midnight(new Date()) - midnight(date)) / 86_400_000);
  if (ago === 0) return "Today";
  if (ago === 1) return "Yesterday";
  return (date.getFullYear() === new Date().getFullYear() ? thisYear : otherYear).format(date);
}
