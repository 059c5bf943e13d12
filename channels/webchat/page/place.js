// Where we are: which chat, and with which token. Both come from the part of the address behind "#",
// which a browser sends to nobody. Nothing else in the address is looked at; above all, no address
// can name another server to talk to.

// localStorage and not sessionStorage: a new tab should open without signing in again, and the
// storage belongs to this origin alone, which serves the daemon's pages and runs no foreign script.
const KEY = "opencraw.token";
const TOKEN = /^[A-Za-z0-9._~-]{8,512}$/;
const CHAT = /^[a-z0-9_-]{1,64}$/;

let token = null;

export function arrive() {
  const given = new URLSearchParams(location.hash.slice(1));
  const chat = CHAT.test(given.get("chat") ?? "") ? given.get("chat") : "main";
  if (given.has("token")) keepToken(given.get("token"));
  // Away with the token before anybody looks over a shoulder or copies the address.
  history.replaceState(null, "", location.pathname + (chat === "main" ? "" : `#chat=${chat}`));
  addEventListener("hashchange", () => location.reload());
  return chat;
}

export function currentToken() {
  if (token === null) {
    try {
      token = localStorage.getItem(KEY);
    } catch {
      // Storage is switched off: the token then lives as long as this page.
    }
  }
  return token;
}

/** Take a token, or a link that has one. False when there is none in it. */
export function keepToken(text) {
  const found = /[#&]token=([^&\s]+)/.exec(text);
  const candidate = (found ? found[1] : text).trim();
  if (!TOKEN.test(candidate)) return false;
  token = candidate;
  try {
    localStorage.setItem(KEY, candidate);
  } catch {
    // As above.
  }
  return true;
}

export function forgetToken() {
  token = null;
  try {
    localStorage.removeItem(KEY);
  } catch {
    // As above.
  }
}
