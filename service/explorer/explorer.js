/** The page: a view, the answer to it, and what people do to either. */

import * as api from "./api.js";
import { Controls } from "./controls.js";
import { $, count, element, letter, many, percent, quietly } from "./dom.js";
import { showHistory, tellHistory } from "./history.js";
import { listenToInterests, showInterests, showSelected } from "./interests.js";
import { Marks, listenToItems, showItems } from "./items.js";
import { ItemMap } from "./map.js";
import { installTheme } from "./theme.js";
import { showTiming } from "./timing.js";
import { columnsOf, readView, requestOf, writeView } from "./view.js";

const USERS = 24;
const LOOKED_UP = 100; // items whose place is asked for at once
const PAUSE = 60; // milliseconds that a slider rests before it counts

const view = readView(location.search);
const known = new Map(); // item id → what the service said of it
const [marks, columnMarks] = [new Marks(), new Marks()];
const map = new ItemMap($("map"), (item) => act.add(item));
let running = { steps: 0 };
let catalogue = null;
let answer = null;
let marked = new Map();
let [pointed, selected] = [null, null];
let shownUser;
let asking = new AbortController();

const act = {
  /** Look at a stored user. */
  choose: (user) => change({ user, session: false }),
  /** An event: stored for a stored user, else the history of the session goes on. */
  async add(item) {
    controls.stop();
    if (view.session) return change({ history: [...view.history, item] });
    try {
      await api.sendEvent(view.user, item);
    } catch (problem) {
      return fail(problem);
    }
    return ask();
  },
  exclude: (item) => change({ exclude: [...new Set([...view.exclude, item])] }),
};
/** The stored user who is looked at, if any. */
const asker = () => (view.session ? null : view.user);
const controls = new Controls(change, act, () => view);
const askSoon = quietly(PAUSE, ask);

function change(part) {
  Object.assign(view, part);
  controls.show(view, running.steps, known);
  writeView(view);
  askSoon();
}

/** Ask for what the view says, and show the answer; a later question overtakes an earlier one. */
async function ask() {
  if (catalogue === null) return start();
  asking.abort();
  asking = new AbortController();
  const { signal } = asking;
  // Without vectors items differ by their categories only.
  const request = requestOf(view, catalogue.explained ? "mmr" : "category");
  $("main").setAttribute("aria-busy", "true");
  try {
    const found = await api.match(request, signal);
    await learn(found.answer, signal);
    // Asked for afterwards: the time of the answer is to be its own.
    const columns = found.answer.interests.length ? await api.match(columnsOf(request, found.answer.interests.length), signal) : found;
    $("trouble").hidden = true;
    show(found, columns.answer.candidates, request);
  } catch (error) {
    if (error.name === "AbortError") return;
    fail(error);
  }
  $("main").setAttribute("aria-busy", "false");
}

/** The items and categories of the version that answers the user. */
async function learnCatalogue() {
  catalogue = await api.catalogue(asker());
  known.clear();
  for (const item of catalogue.items) known.set(item.item_id, item);
  controls.offerCategories(catalogue.categories);
  map.setCatalogue(catalogue);
  const [x, y] = catalogue.explained ?? [];
  $("map-said").textContent = catalogue.explained
    ? `the ${count(catalogue.items.length)} most popular items; the axes hold ${percent(x + y)} of the variance of all`
    : "";
}

/** Titles and places of everything in an answer. */
async function learn(found, signal) {
  if (catalogue.version !== found.version) await learnCatalogue();
  const faces = found.interests.map((interest) => interest.face).filter(Boolean);
  const shown = [...found.candidates, ...faces, ...historyOf(found), ...[...view.history, ...view.exclude].map((item_id) => ({ item_id }))];
  const unknown = [...new Set(shown.map((item) => item.item_id))].filter((item) => !known.has(item));
  if (unknown.length) {
    const { items } = await api.items({ id: unknown.slice(-LOOKED_UP) }, asker(), signal);
    for (const item of items) known.set(item.item_id, item);
  }
}

const historyOf = (found) => found.interests.find((interest) => interest.history.length)?.history ?? [];

function show({ answer: found, waited, stages }, columns, request) {
  const fresh = shownUser !== asker();
  shownUser = asker();
  answer = { ...found, candidates: found.candidates.map((candidate, rank) => ({ ...candidate, rank })) };
  marked = marks.compare(answer.candidates, fresh);
  if (!answer.interests.some((interest) => interest.interest === selected)) selected = null;
  $("interests-part").hidden = !answer.interests.length;
  showTiming(stages, waited);
  showItems($("candidates"), answer.candidates, marked, { named: true });
  const ranks = new Map(answer.candidates.map((candidate) => [candidate.item_id, candidate.rank]));
  const placed = columns.map((candidate) => ({ ...candidate, rank: ranks.get(candidate.item_id) ?? null }));
  showInterests(answer.interests, placed, answer.candidates, columnMarks.news(placed, fresh));
  showActive();
  controls.show(view, running.steps, known);
  const news = [...marked.values()].filter((mark) => mark === "new").length;
  const of = answer.source === "popular" ? "popular items" : `candidates of ${many(answer.interests.length, "interest")}`;
  $("answer-said").textContent = `${count(answer.candidates.length)} ${of}${news ? `, ${news} new` : ""}`;
  $("said").textContent = `${$("answer-said").textContent}; refinement ${$("steps-said").textContent}`;
  note();
  $("curl").textContent = api.curl(request);
  $("fork").hidden = view.session || !historyOf(answer).length;
  $("clear").hidden = !view.session || !view.history.length;
  document.title = `${view.session ? "A session" : view.user} · DMI Match explorer`;
}

/** The parts that depend on which interest is pointed at or selected. */
function showActive() {
  if (answer === null) return;
  const active = pointed ?? selected;
  const own = view.session ? view.history.map((item_id) => known.get(item_id) ?? { item_id }) : [];
  const history = historyOf(answer).length ? historyOf(answer) : own;
  showHistory(history, answer.interests, active, catalogue.categories, view.session);
  tellHistory(history, answer.interests.find((one) => one.interest === active && one.history.length), letter(active ?? 0));
  showSelected(selected);
  map.show({ ...answer, history, known, active });
  for (const node of document.querySelectorAll("#candidates > .item")) {
    node.classList.toggle("own", active !== null && node.dataset.interest === String(active));
  }
}

function note() {
  $("note").textContent = noted();
  $("note").hidden = !noted();
}

/** What has to be said of the answer, if anything. */
function noted() {
  if (answer.degraded === "history") return "The history store cannot be reached: this is what the model makes of nothing stored.";
  if (answer.degraded) return "The model failed: these are popular items.";
  if (!answer.candidates.length) return "No item satisfies these filters.";
  if (answer.source !== "popular") return "";
  if (!running.num_interests) return "The served model knows popular items only, the same for everybody.";
  const whose = view.session ? "in this session" : `stored of “${view.user}”`;
  return `There is nothing ${whose} that the model knows: these are popular items. Click one to begin.`;
}

function fail(problem) {
  $("main").setAttribute("aria-busy", "false");
  $("key-form").hidden = !problem.wantsKey;
  $("page").hidden = catalogue === null; // nothing on it could be used
  const again = element("button", { type: "button", className: "quiet", textContent: "Try again" });
  again.addEventListener("click", () => (answer === null ? start() : ask()));
  const title = element("b", { textContent: `${problem.title ?? "The page failed"}: ` });
  $("trouble").replaceChildren(title, `${problem.message} `, again);
  $("trouble").hidden = false;
  if (problem.wantsKey) $("key").focus();
}

/** Find out what is served and who is stored, and show the first answer. */
async function start() {
  try {
    running = await api.version();
    $("key-form").hidden = true;
    $("page").hidden = false;
    $("about").textContent = `${running.model} ${running.version} · ${many(running.num_items, "item")} · ${many(running.num_interests, "interest")} · ${many(running.steps, "refinement step")}`;
    const { users } = await api.users(USERS).catch((problem) => (problem.wantsKey ? Promise.reject(problem) : { users: [] }));
    controls.offerUsers(users);
    if (view.user === null && !view.session) {
      if (users.length) view.user = users[0].user_id;
      else view.session = true;
    }
    await learnCatalogue();
  } catch (problem) {
    fail(problem);
    return;
  }
  controls.show(view, running.steps, known);
  writeView(view);
  await ask();
}

function listen() {
  listenToItems(act);
  listenToInterests(
    (interest) => {
      if (interest === pointed) return;
      pointed = interest;
      showActive();
    },
    (interest) => {
      selected = selected === interest ? null : interest;
      showActive();
    },
  );
  $("mode").addEventListener("change", (event) => {
    if (event.target.value === "session") change({ session: true });
    else if (view.user) change({ session: false });
    else change({ session: false, user: controls.user.value || "nobody" });
  });
  $("fork").addEventListener("click", () => change({ session: true, history: historyOf(answer).map((one) => one.item_id) }));
  $("clear").addEventListener("click", () => change({ history: [] }));
  $("history").addEventListener("click", (event) => {
    const item = event.target.closest(".remove")?.closest(".event").dataset.item;
    if (item) change({ history: view.history.toSpliced(view.history.lastIndexOf(item), 1) });
  });
  $("show-key").addEventListener("click", () => {
    $("key-form").hidden = !$("key-form").hidden;
    if (!$("key-form").hidden) $("key").focus();
  });
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    api.key.set($("key").value.trim());
    $("key-form").hidden = true;
    $("trouble").hidden = true;
    start();
  });
  $("copy").hidden = !navigator.clipboard; // browsers have one only where the connection is secure
  $("copy").addEventListener("click", async () => {
    await navigator.clipboard.writeText($("curl").textContent);
    $("copy").textContent = "Copied";
  });
  const wide = matchMedia("(min-width: 1080px)");
  const unfold = () => ($("filters").open = wide.matches);
  wide.addEventListener("change", unfold);
  unfold();
}

installTheme(showActive);
listen();
start();
