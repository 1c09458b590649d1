// The form that asks for an operator token.

import { ask } from "./api.js";
import { h, setText } from "./dom.js";
import { problemText } from "./format.js";
import { t } from "./texts.js";

/** Show the form in `main`; `entered` is called once the token was good. */
export function showLogin(main, entered) {
  const error = h("p.error", { role: "alert", id: "login-error" });
  const input = h("input", { type: "password", name: "token", required: true, dir: "ltr",
    autocomplete: "current-password", spellcheck: "false", id: "token",
    "aria-describedby": "login-error" });
  const button = h("button", t("log_in"));
  const form = h("form.card.login",
    h("h1", t("log_in")),
    h("p", t("login_why")),
    h("p", h("code", { dir: "ltr" }, "wsdev tokens create --operator")),
    h("label", { for: "token" }, t("operator_token")), input, error,
    h("div.actions", button));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    setText(error, "");
    button.disabled = true;
    try {
      await ask("/login", { method: "POST", body: { token: input.value.trim() } });
      input.value = "";
      entered();
    } catch (problem) {
      button.disabled = false;
      setText(error, t(`login_${problem.code}`, {}, problemText(problem)));
      input.select();
    }
  });
  main.append(form);
  input.focus();
}
