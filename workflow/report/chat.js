// The page for talking to the specialist.

import { changes, make, pairs, plain, plural, step, visible, written } from "./chat_parts.js";

const find = (id) => document.getElementById(id);
const [talk, start, box, send, problem, state] =
  ["talk", "start", "message", "send", "problem", "status"].map(find);
const LOST = "The connection to the server was lost before the answer was complete. " +
  "Start the server again if it has ended, then send the message again.";
const GONE = "The server does not answer. Start it again, then send the message again.";
const ENDS = {
  step_limit: "it took too many steps",
  loop: "it made the same call twice in a row",
  token_limit: "a turn was too long",
  context_overflow: "the conversation filled its context",
  malformed_turn: "a turn could not be read",
};
// What was said in this conversation, in the form of OpenAI's messages; the values of the session
// that differ from the server's; and what stops the request that runs.
let said = [], session = {}, running = null, number = 0;
let about = { session: {}, choose: false, database: false };

// Errors

class Problem extends Error {}

const refusal = (status, { message, code, param } = {}) => {
  if (code === "rate_limit_exceeded" || status === 503) {
    return "The specialist is busy with other conversations. Send the message again in a moment.";
  }
  if (code === "context_length_exceeded") {
    return `The message is too long for the specialist: ${message.replace(/^messages: /, "")}. Shorten it.`;
  }
  if (status === 413) return "The conversation is too long for the server. Begin a new one.";
  if (param === "metadata") return `This account cannot be used: ${message.replace(/^metadata: /, "")}.`;
  return `The server could not answer: ${message ?? `status ${status}`}.`;
};

const request = async (address, options) => {
  let response;
  try {
    response = await fetch(address, options);
  } catch {
    throw new Problem(GONE);
  }
  if (!response.ok) {
    const body = await response.json().catch(() => ({}));
    throw new Problem(refusal(response.status, body.error));
  }
  return response;
};

async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    let part;
    try {
      part = await reader.read();
    } catch {
      throw new Problem(LOST);
    }
    if (part.done) throw new Problem(LOST); // the last event ends the reading
    const found = (rest + part.value).split("\n\n");
    rest = found.pop();
    for (const each of found) yield JSON.parse(each.slice("data: ".length));
  }
}

// An exchange

const exchange = (text) => {
  const part = make("article", undefined, "exchange"), title = make("h2", `Exchange ${number += 1}`, "unseen");
  const customer = make("div", undefined, "customer"), answer = make("div", undefined, "answer waiting");
  const work = make("details", undefined, "work busy"), summary = written("summary", "Waiting for the specialist", "");
  const steps = make("ol"), reply = written("p", "");
  customer.append(make("p", "You", "who"), written("p", text));
  // A screen reader reads the answer once it is complete.
  answer.setAttribute("aria-live", "polite");
  answer.setAttribute("aria-busy", "true");
  answer.append(make("p", "Specialist", "who"), reply);
  work.append(summary, steps);
  part.append(title, customer, work, answer);
  talk.append(part);
  part.scrollIntoView({ block: "end" });
  return { part, work, summary, steps, answer, reply, calls: [] };
};

const see = (element) => {
  const { bottom } = element.getBoundingClientRect();
  // Whoever has scrolled up to read is left alone.
  if (bottom > 0 && bottom < 2 * window.innerHeight) element.scrollIntoView({ block: "nearest" });
};

const worked = (shown, found) => {
  shown.steps.append(step(found));
  if (found.call) {
    shown.calls.push(found.call);
    shown.summary.textContent = `Call of ${plain(found.call)}`;
    state.textContent = `Step ${shown.steps.children.length}: ${plain(found.call)}`;
  }
};

const rest = (shown) => {
  const calls = shown.calls.length ? `: ${shown.calls.map(plain).join(", ")}` : "";
  shown.work.classList.remove("busy");
  shown.work.hidden = !shown.steps.children.length;
  shown.summary.textContent = visible(`${plural(shown.steps.children.length, "step")}${calls}`);
  shown.answer.setAttribute("aria-busy", "false");
};

const ended = (shown, text, end) => {
  rest(shown);
  const why = ENDS[end.ended] ?? plain(end.ended);
  if (!end.text.trim()) {
    throw new Problem(`The specialist found no answer: ${why}. ` +
      "The conversation goes on as it was before this message.");
  }
  said.push({ role: "user", content: text }, { role: "assistant", content: end.text });
  const notes = [];
  if (end.rule === "claim") notes.push("The reply claimed what was not done, so a rule of the tools replaced it.");
  else if (end.rule) notes.push(`A rule of the tools answered, because the agent found no answer: ${why}.`);
  else if (end.ended !== "answer") notes.push(`The answer is not complete: ${why}.`);
  if (end.said) notes.push(`The agent had written: ${end.said}`);
  if (end.anew) {
    notes.push("The server no longer remembered this conversation. It read the messages again, " +
      "with a fresh copy of the database.");
  }
  shown.part.append(...notes.map((note) => written("p", note, "problem text")));
  if (Object.keys(end.changes).length) shown.part.append(changes(end.changes));
  else if (about.database) shown.part.append(make("p", "No change in the database", "quiet"));
  see(shown.part);
};

const follow = async (shown, text, response) => {
  for await (const event of events(response)) {
    if (event.error) throw new Problem(refusal(500, event.error));
    if (event.done) return ended(shown, text, event.done);
    if (event.thought) shown.summary.textContent = visible(event.thought);
    if (event.step) worked(shown, event.step);
    if (event.part) {
      shown.answer.classList.remove("waiting");
      shown.reply.textContent += visible(event.part);
    }
    see(shown.reply.textContent ? shown.answer : shown.work);
  }
};

// The message is not part of the conversation; it goes back to the box if that is empty.
const undo = (shown, text) => {
  shown.part.append(make("p", "This message is not part of the conversation.", "quiet"));
  if (box.value) return;
  box.value = text;
  if (!shown.steps.children.length) {
    shown.part.remove();
    number -= 1;
  }
  start.hidden = talk.children.length > 0;
};

const ask = async (text) => {
  if (running) return;
  const mine = running = new AbortController(), shown = exchange(text);
  start.hidden = true;
  problem.textContent = "";
  state.textContent = "The specialist is at work";
  send.disabled = true;
  try {
    const body = { messages: [...said, { role: "user", content: text }], metadata: session };
    const response = await request("page/ask", {
      method: "POST", headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body), signal: mine.signal,
    });
    await follow(shown, text, response);
  } catch (error) {
    if (mine.signal.aborted) return;
    rest(shown);
    undo(shown, text);
    problem.textContent = error instanceof Problem ? visible(error.message) : `The page failed: ${error}`;
  } finally {
    if (running === mine) {
      running = null;
      send.disabled = false;
      state.textContent = "";
    }
  }
};

const reset = () => {
  running?.abort();
  running = null;
  said = [];
  number = 0;
  talk.replaceChildren();
  start.hidden = false;
  send.disabled = false;
  problem.textContent = "";
  state.textContent = "New conversation";
};

// The beginning

// With these values of the session; those of the server are left out.
const choose = (given) => {
  const values = { ...about.session, ...given };
  session = {};
  Object.entries(values).forEach(([name, value]) => {
    if (String(value) !== String(about.session[name])) session[name] = String(value);
  });
  account.querySelectorAll("input").forEach((field) => { field.value = String(values[field.name]); });
};
const account = find("account");

const begin = () => {
  document.title = visible(about.name);
  find("name").textContent = visible(about.name);
  find("copy").hidden = !about.database;
  find("notice").hidden = !about.notice;
  find("notice").textContent = visible(`Warning: ${about.notice}`);
  const names = Object.keys(about.session);
  account.hidden = !about.choose || !names.length;
  if (account.hidden) find("session").textContent = visible(names.length ? `Account: ${pairs(about.session)}` : "");
  else {
    account.append(...names.map((name) => {
      const label = make("label", plain(name)), field = make("input");
      Object.assign(field, { name, autocomplete: "off" });
      field.setAttribute("aria-describedby", "account-hint");
      label.append(field);
      return label;
    }));
    choose(about.session);
    account.addEventListener("change", () => {
      reset();
      choose(Object.fromEntries([...account.querySelectorAll("input")].map((field) => [field.name, field.value])));
    });
  }
  find("examples").append(...about.examples.map((example) => {
    const item = make("li"), button = written("button", example.message);
    button.type = "button";
    if (!account.hidden) button.append(make("small", pairs(example.session), "quiet"));
    button.addEventListener("click", () => {
      if (!account.hidden) choose(example.session);
      box.focus();
      ask(example.message);
    });
    item.append(button);
    return item;
  }));
  find("others").hidden = !about.others;
  find("others").textContent = `${plural(about.others, "more example")} for other accounts: ` +
    "start the server with --choose-session to use them.";
};

find("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = box.value.trim();
  box.focus();
  if (running) state.textContent = "The specialist is at work. Wait for its answer.";
  else if (!text) state.textContent = "Write a message first.";
  else {
    box.value = "";
    ask(text);
  }
});
box.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  find("ask").requestSubmit();
});
find("reset").addEventListener("click", () => {
  reset();
  box.focus();
});
request("page/about").then((response) => response.json()).then((found) => {
  about = found;
  begin();
}).catch((error) => {
  problem.textContent = error instanceof Problem ? GONE : `The page failed: ${error}`;
});
