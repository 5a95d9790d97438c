/** What is looked at: kept in the address, so that a view can be shared, reloaded and gone back to. */

const DEFAULTS = { user: null, history: [], steps: null, n: 40, diversity: 0, max: null, merge: "max-score", seen: true };

const EACH = 12; // candidates of an interest, where all weigh the same

/** The view that an address names; what it leaves out, or says badly, is the default. */
export function readView(search) {
  const given = new URLSearchParams(search);
  const number = (name, least, most) => {
    const value = given.get(name);
    const within = value !== null && value !== "" && Number(value) >= least && Number(value) <= most;
    return within ? Number(value) : DEFAULTS[name];
  };
  return {
    user: given.get("user") || null,
    session: given.has("session"),
    history: given.getAll("item"),
    steps: number("steps", 0, 64),
    n: number("n", 1, 200),
    diversity: number("diversity", 0, 1),
    max: number("max", 1, 200),
    merge: given.get("merge") === "interleaved" ? "interleaved" : DEFAULTS.merge,
    seen: given.get("seen") !== "false",
    category: given.getAll("category"),
    exclude: given.getAll("exclude"),
  };
}

/** Put the view into the address. */
export function writeView(view) {
  const told = new URLSearchParams();
  if (view.session) told.set("session", "");
  else if (view.user !== null) told.set("user", view.user);
  if (view.session) for (const item of view.history) told.append("item", item);
  for (const name of ["steps", "n", "diversity", "max", "merge", "seen"]) {
    if (view[name] !== DEFAULTS[name]) told.set(name, view[name]);
  }
  for (const name of ["category", "exclude"]) for (const one of view[name]) told.append(name, one);
  const search = told.toString().replace("session=&", "session&").replace(/session=$/, "session");
  history.replaceState(null, "", search ? `?${search}` : location.pathname);
}

/** The request that shows what each of some interests finds by itself, whatever the others find. */
export function columnsOf(request, interests) {
  return { ...request, merge: "interleaved", n: Math.max(EACH * interests, 1), diversity: 0, explain: true };
}

/** The request of POST /match that shows a view; `diversify` is how items differ for the served model. */
export function requestOf(view, diversify) {
  const request = view.session ? { history: view.history } : { user_id: view.user };
  request.n = view.n;
  if (view.steps !== null) request.steps = view.steps;
  if (view.diversity > 0) Object.assign(request, { diversity: view.diversity, diversify });
  if (view.max !== null) request.max_per_category = view.max;
  if (view.merge !== DEFAULTS.merge) request.merge = view.merge;
  if (!view.seen) request.exclude_seen = false;
  if (view.category.length) request.category = view.category;
  if (view.exclude.length) request.exclude = view.exclude;
  return { ...request, explain: true };
}
