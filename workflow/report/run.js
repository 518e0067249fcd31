"use strict";
// The browser of runs. It builds elements and sets text, never HTML, because customers,
// articles and models wrote the text.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const [system, other, kind, outcome, failure, harm, words, list, count, shown, more] =
    ["system", "other", "kind", "outcome", "failure", "harm", "words", "list", "count", "shown", "more"]
      .map(find);
  const PAGE = 50;
  let limit = PAGE, chosen = null, counted = "";

  const make = (tag, text, cls) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (cls) element.className = cls;
    return element;
  };
  const option = (select, value, text) => {
    const element = make("option", text);
    element.value = value;
    select.append(element);
  };
  const plain = (name) => name.replaceAll("_", " ");
  const label = (name) => (name ? plain(name) : "solved");

  data.systems.forEach((name) => { option(system, name, name); option(other, name, name); });
  data.kinds.forEach((name) => option(kind, name, plain(name)));
  data.failures.forEach((name) => option(failure, name, plain(name)));
  data.harms.forEach((name) => option(harm, name, plain(name)));
  system.value = data.headline;

  const stepsOf = (trace) => trace.exchanges.flatMap((exchange) => exchange.steps);
  const text = (trace) => trace.text ??= [
    ...trace.exchanges.flatMap((exchange) => [exchange.message, exchange.reply, exchange.said]),
    ...stepsOf(trace).flatMap((step) =>
      [step.thought, step.call, JSON.stringify(step.arguments), data.strings[step.observation]]),
  ].join("\n").toLowerCase();
  const harmful = (trace) => !harm.value || (harm.value === "none" ? !trace.harm.length :
    trace.harm.some((each) => harm.value === "any" || each.kind === harm.value));

  const outcomes = {
    solved: (task, trace) => !trace.failure,
    failed: (task, trace) => trace.failure,
    differs: (task, trace) => {
      const against = data.traces[other.value]?.[task.id];
      return against && !against.failure !== !trace.failure;
    },
  };

  const matches = (task, trace) => {
    if (kind.value && task.kind !== kind.value) return false;
    if (!harmful(trace)) return false;
    if (outcome.value && !outcomes[outcome.value](task, trace)) return false;
    if (failure.value && trace.failure !== failure.value) return false;
    const wanted = words.value.trim().toLowerCase();
    return !wanted || task.id.toLowerCase().includes(wanted) ||
      task.message.toLowerCase().includes(wanted) || text(trace).includes(wanted);
  };

  const line = (name, value, cls) => {
    const row = make("div", undefined, cls);
    row.append(make("dt", name), make("dd", value));
    return row;
  };

  const turn = (step, number, differs) => {
    const item = make("li", undefined, differs ? "differs" : "");
    if (differs) item.append(make("p", "First difference between the two systems", "mark"));
    if (step.by === "rule") item.append(make("p", "Written by a rule of the loop", "mark"));
    const facts = make("dl");
    if (step.thought) facts.append(line("Thought", step.thought));
    if (step.call) facts.append(line("Call", `${step.call} ${JSON.stringify(step.arguments)}`, "code"));
    if (step.observation !== null) {
      facts.append(line(step.sources.length ? `Passage, ${step.sources.join(", ")}` : "Result",
        data.strings[step.observation], "text"));
    }
    if (step.error) facts.append(line("Refused", step.error));
    if (!step.valid) facts.append(line("Form", "not a valid turn"));
    item.append(facts);
    const cost = [];
    if (step.generated_tokens) cost.push(`${step.prompt_tokens} tokens read, ${step.generated_tokens} written`);
    if (step.seconds !== null) cost.push(`${(step.seconds * 1000).toFixed(0)} ms`);
    item.append(make("small", [`Turn ${number + 1}`, ...cost].join(", ")));
    return item;
  };

  // What a system did, turn by turn: its calls, and its reply at the end of each exchange.
  const acts = (trace) => trace.exchanges.flatMap((exchange) => exchange.steps.map((step, i) =>
    JSON.stringify([step.call, step.arguments,
      i === exchange.steps.length - 1 ? exchange.reply : null])));

  const firstDifference = (one, two) => {
    if (!two) return -1;
    const [mine, others] = [acts(one), acts(two)];
    const last = Math.max(mine.length, others.length);
    for (let i = 0; i < last; i += 1) {
      if (mine[i] !== others[i]) return Math.min(i, mine.length - 1, others.length - 1);
    }
    return -1;
  };

  const database = (part, found) => {
    const changes = Object.entries(found);
    part.append(make("p", changes.length ? "Changes in the database" : "No change in the database"));
    changes.forEach(([table, change]) => {
      const rows = [...change.removed.map((row) => `- ${JSON.stringify(row)}`),
        ...change.added.map((row) => `+ ${JSON.stringify(row)}`)];
      part.append(make("pre", `${table}\n${rows.join("\n")}`));
    });
  };

  const SOURCES = { request: "requests", reply: "answers", vain: "says again" };

  const conversation = (name, trace, difference) => {
    const part = make("section", undefined, "conversation");
    part.append(make("h4", `${name}: ${label(trace.failure)}`, trace.failure ? "no" : "yes"));
    let number = 0;
    trace.exchanges.forEach((exchange, place) => {
      const who = `Customer ${SOURCES[exchange.source]}, request ${exchange.request}`;
      if (trace.exchanges.length > 1) part.append(make("h5", who));
      part.append(make("p", exchange.message, "customer"));
      const turns = make("ol");
      turns.start = number + 1;
      exchange.steps.forEach((step) => {
        turns.append(turn(step, number, number === difference));
        number += 1;
      });
      part.append(turns);
      if (exchange.rule) {
        part.append(make("p", `Replaced by the rule "${plain(exchange.rule)}". The agent said: ` +
          `${exchange.said ?? "nothing"}`, "mark"));
      }
      part.append(make("p", exchange.reply ?? `No answer; it ended with ${label(exchange.ended)}.`, "answer"));
      trace.harm.filter((each) => each.exchange === place).forEach((each) =>
        part.append(make("p", `Harm, ${plain(each.kind)}: ${each.text}`, "mark")));
      database(part, exchange.changes);
    });
    return part;
  };

  const show = (id) => {
    chosen = id;
    const task = data.tasks.find((each) => each.id === id);
    const one = data.traces[system.value][id];
    const two = other.value && other.value !== system.value ? data.traces[other.value][id] : null;
    const difference = firstDifference(one, two);
    shown.replaceChildren(make("h3", `${task.id}, ${plain(task.kind)}`));
    if (other.value && other.value !== system.value && !two) {
      shown.append(make("p", `${other.value} did not run this one.`));
    } else if (two && difference < 0) {
      shown.append(make("p", "Both systems did the same."));
    }
    const both = make("div", undefined, two ? "two" : "");
    both.append(conversation(system.value, one, difference));
    if (two) both.append(conversation(other.value, two, difference));
    shown.append(both);
    list.querySelectorAll("button").forEach((button) =>
      button.setAttribute("aria-current", String(button.value === id)));
    count.textContent = `${counted}. Shown: ${id}.`;
  };

  const update = () => {
    const traces = data.traces[system.value];
    const found = data.tasks.filter((task) => traces[task.id] && matches(task, traces[task.id]));
    counted = `${found.length} of ${data.tasks.length} runs`;
    list.replaceChildren(...found.slice(0, limit).map((task) => {
      const button = make("button", task.message);
      button.type = "button";
      button.value = task.id;
      button.prepend(make("small", `${task.id}, ${label(traces[task.id].failure)}`,
        traces[task.id].failure ? "no" : "yes"));
      button.addEventListener("click", () => show(task.id));
      const item = make("li");
      item.append(button);
      return item;
    }));
    more.hidden = found.length <= limit;
    if (found.length && !found.some((task) => task.id === chosen)) chosen = found[0].id;
    if (found.length) return show(chosen);
    count.textContent = counted;
    shown.replaceChildren(make("p", "No run matches."));
  };

  [system, other, kind, outcome, failure, harm].forEach((each) => each.addEventListener("change", () => {
    limit = PAGE;
    update();
  }));
  words.addEventListener("input", () => { limit = PAGE; update(); });
  list.addEventListener("keydown", (event) => {
    const to = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = to && event.target.closest("li")?.[to]?.querySelector("button");
    if (!next) return;
    event.preventDefault();
    next.focus();
    show(next.value);
  });
  more.addEventListener("click", () => { limit += PAGE; update(); });
  update();
})();
