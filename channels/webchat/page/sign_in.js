// The form for people who came without the link.

import { forgetToken, keepToken } from "./place.js";

const REASONS = {
  401: "The access token of this browser is not valid any more.",
  403: "This access token is not allowed to chat.",
  429: "There were too many wrong tokens. Wait five minutes, then try again.",
};

/** Ask for a token. `status` is the answer that the one we had got, or null if we had none. */
export function showSignIn(status) {
  if (status === 401 || status === 403) forgetToken();
  document.getElementById("chat").hidden = true;
  document.getElementById("sign-in").hidden = false;
  const reason = document.getElementById("sign-in-reason");
  const input = document.getElementById("token");
  reason.textContent = REASONS[status] ?? "";
  input.value = "";
  document.getElementById("sign-in-form").onsubmit = (event) => {
    event.preventDefault();
    if (keepToken(input.value)) {
      // A fresh start is the surest way to leave nothing of the old connection behind.
      location.reload();
    } else {
      reason.textContent = "That does not look like an access token or a link that has one.";
    }
  };
  input.focus();
}
