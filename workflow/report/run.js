"use strict";
// The browser of conversations. It builds elements and sets text, never HTML, because customers,
// articles and models wrote the text.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const find = (id) => document.getElementById(id);
  const [system, other, kind, outcome, words, list, count, shown, more] =
    ["system", "other", "kind", "outcome", "words", "list", "count", "shown", "more"].map(find);
  const PAGE = 50;
  let limit = PAGE, chosen = null;

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
  const label = (failure) => (failure ? failure.replaceAll("_", " ") : "solved");

  data.systems.forEach((name) => { option(system, name, name); option(other, name, name); });
  data.kinds.forEach((name) => option(kind, name, name));
  data.failures.forEach((name) => option(outcome, name, label(name)));
  system.value = data.headline;

  const text = (trace) => trace.text ??= [
    trace.answer, ...trace.steps.flatMap((step) =>
      [step.thought, step.call, JSON.stringify(step.arguments), data.strings[step.observation]]),
  ].join("\n").toLowerCase();

  const matches = (task, trace) => {
    if (kind.value && task.kind !== kind.value) return false;
    if (outcome.value === "failed" ? !trace.failure : outcome.value && label(trace.failure) !== label(
      outcome.value === "solved" ? "" : outcome.value)) return false;
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
    const facts = make("dl");
    if (step.thought) facts.append(line("Thought", step.thought));
    if (step.call) facts.append(line("Call", `${step.call} ${JSON.stringify(step.arguments)}`, "code"));
    if (step.observation !== null) {
      facts.append(line(step.sources.length ? `Passage, ${step.sources.join(", ")}` : "Result",
        data.strings[step.observation]));
    }
    if (step.error) facts.append(line("Refused", step.error));
    if (!step.valid) facts.append(line("Form", "not a valid turn"));
    item.append(facts);
    const cost = [];
    if (step.generated_tokens) cost.push(`${step.prompt_tokens} tokens read, ${step.generated_tokens} written`);
    if (step.seconds !== null) cost.push(`${(step.seconds * 1000).toFixed(0)} ms`);
    if (cost.length) item.append(make("small", `Turn ${number + 1}: ${cost.join(", ")}`));
    return item;
  };

  const same = (a, b) => a && b && a.call === b.call && a.answer === b.answer &&
    JSON.stringify(a.arguments) === JSON.stringify(b.arguments);

  const firstDifference = (one, two) => {
    if (!two) return -1;
    const last = Math.max(one.steps.length, two.steps.length);
    for (let i = 0; i < last; i += 1) if (!same(one.steps[i], two.steps[i])) return i;
    return one.answer === two.answer ? -1 : Math.min(one.steps.length, two.steps.length) - 1;
  };

  const conversation = (name, trace, difference) => {
    const part = make("section", undefined, "conversation");
    part.append(make("h4", `${name}: ${label(trace.failure)}`, trace.failure ? "no" : "yes"));
    const turns = make("ol");
    trace.steps.forEach((step, i) => turns.append(turn(step, i, i === difference)));
    part.append(turns);
    part.append(make("p", trace.answer ?? `No answer; it ended with ${label(trace.ended)}.`, "answer"));
    const changes = Object.entries(trace.changes);
    part.append(make("p", changes.length ? "Changes in the database" : "No change in the database"));
    changes.forEach(([table, change]) => {
      const rows = [...change.removed.map((row) => `- ${JSON.stringify(row)}`),
        ...change.added.map((row) => `+ ${JSON.stringify(row)}`)];
      part.append(make("pre", `${table}\n${rows.join("\n")}`));
    });
    return part;
  };

  const show = (id) => {
    chosen = id;
    const task = data.tasks.find((each) => each.id === id);
    const one = data.traces[system.value][id];
    const two = other.value && other.value !== system.value ? data.traces[other.value][id] : null;
    const difference = firstDifference(one, two);
    shown.replaceChildren(make("h3", task.id), make("p", task.message, "customer"));
    const both = make("div", undefined, two ? "two" : "");
    both.append(conversation(system.value, one, difference));
    if (two) both.append(conversation(other.value, two, difference));
    shown.append(both);
    list.querySelectorAll("button").forEach((button) =>
      button.setAttribute("aria-current", String(button.value === id)));
  };

  const update = () => {
    const traces = data.traces[system.value];
    const found = data.tasks.filter((task) => traces[task.id] && matches(task, traces[task.id]));
    count.textContent = `${found.length} of ${data.tasks.length} conversations`;
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
    if (found.length) show(chosen); else shown.replaceChildren(make("p", "No conversation matches."));
  };

  [system, other, kind, outcome].forEach((each) => each.addEventListener("change", () => {
    limit = PAGE;
    update();
  }));
  words.addEventListener("input", () => { limit = PAGE; update(); });
  more.addEventListener("click", () => { limit += PAGE; update(); });
  update();
})();
