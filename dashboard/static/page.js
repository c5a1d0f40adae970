// Makes the page live: ages that tick, parts that follow the network, a crosshair and zoom on the charts.
// Everything is readable without it; whatever a reader chooses is in the address.

const body = document.body;
const line = document.getElementById("line");
const THIN = "\u202f";
let source = null;
let held = new Map(); // parts that changed while the reader was typing in them
let clock = { now: Number(body.dataset.now), rate: Number(body.dataset.rate), at: performance.now() };

document.documentElement.classList.add("js");

// ------------------------------------------------------------------------------------------------------------ time

const now = () => clock.now + ((performance.now() - clock.at) / 1000) * clock.rate;

function span(seconds) {
  let left = Math.max(0, Math.floor(seconds));
  const parts = [];
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    const amount = Math.floor(left / size);
    left -= amount * size;
    if (amount || parts.length || unit === "s") parts.push(`${amount}${THIN}${unit}`);
    if (parts.length === 2) break;
  }
  return parts.join(" ");
}

const moment = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ");

function tick() {
  const time = now();
  for (const one of document.querySelectorAll("[data-age]")) one.textContent = span(time - one.dataset.age);
  for (const one of document.querySelectorAll("[data-until]")) {
    const left = one.dataset.until - time;
    one.closest(".wide").classList.toggle("late", left <= 0);
    one.textContent = left > 0 ? `in ${span(left)}` : `overdue by ${span(-left)}`;
  }
  for (const one of document.querySelectorAll("[data-due]")) {
    one.value = Math.min(one.max, Math.max(0, one.max - (one.dataset.due - time)));
  }
}

// ----------------------------------------------------------------------------------------------------------- parts

const REACHABLE = "a[href], button, input, select, summary, [tabindex]";

function state(part) {
  const open = [...part.querySelectorAll("details[open]")].map((one) => one.dataset.key);
  const scrolled = [...part.querySelectorAll(".scroll")].map((one) => [one.dataset.key, one.scrollTop, one.scrollLeft]);
  return () => {
    for (const one of part.querySelectorAll("details")) one.open = open.includes(one.dataset.key);
    for (const [key, top, left] of scrolled) part.querySelector(`.scroll[data-key="${key}"]`)?.scrollTo({ top, left, behavior: "instant" });
  };
}

function put(id, html) {
  const part = document.getElementById(id);
  if (!part) return;
  const inside = part.contains(document.activeElement) && document.activeElement;
  if (inside && inside.matches("input, select") && document.hasFocus()) {
    held.set(id, html);
    return;
  }
  const place = [...part.querySelectorAll(REACHABLE)].indexOf(inside);
  const restore = state(part);
  part.innerHTML = html;
  restore();
  attach(part);
  if (place >= 0) part.querySelectorAll(REACHABLE)[place]?.focus({ preventScroll: true });
}

document.addEventListener("focusout", () => setTimeout(() => {
  const waiting = held;
  held = new Map();
  for (const [id, html] of waiting) put(id, html);
}));

async function go(address, { push = true } = {}) {
  const answer = await fetch(address, { headers: { Accept: "text/html" } });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  if (!answer.ok || !page.querySelector("[data-part]")) {
    location.assign(address);
    return;
  }
  const focused = document.activeElement?.matches("input, select") && document.activeElement;
  const again = focused && (focused.id ? `#${focused.id}` : `[name="${focused.name}"]`);
  if (focused) focused.blur();
  held.clear();
  for (const part of page.querySelectorAll("[data-part]")) put(part.id, part.innerHTML);
  if (again) document.querySelector(again)?.focus({ preventScroll: true });
  if (push) history.pushState(null, "", address);
  document.title = page.title;
  const { now: time, rate, version } = page.body.dataset;
  clock = { now: Number(time), rate: Number(rate), at: performance.now() };
  body.dataset.version = version;
  body.toggleAttribute("data-live", page.body.hasAttribute("data-live"));
  listen();
}

const changed = (changes) => {
  const query = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(changes)) value === null ? query.delete(name) : query.set(name, value);
  return query.size ? `?${query}` : "./";
};

addEventListener("popstate", () => go(location.href, { push: false }));

// ------------------------------------------------------------------------------------------------------------ live

function say(kind, words) {
  if (line.textContent === words) return;
  line.className = `line ${kind}`;
  line.textContent = words;
}

function listen() {
  source?.close();
  source = null;
  if (!body.hasAttribute("data-live")) return say("past", "Past");
  const query = new URLSearchParams(location.search);
  query.set("seen", body.dataset.version);
  source = new EventSource(`events?${query}`);
  const set = (data) => { clock = { now: data.now, rate: data.rate, at: performance.now() }; };
  source.addEventListener("open", () => say("live", "Live"));
  source.addEventListener("error", () => say("lost", "Connection lost"));
  source.addEventListener("clock", (event) => set(JSON.parse(event.data)));
  source.addEventListener("trouble", (event) => say("lost", JSON.parse(event.data).text));
  source.addEventListener("patch", (event) => {
    const data = JSON.parse(event.data);
    set(data);
    say("live", "Live");
    body.dataset.version = data.version;
    for (const [id, html] of Object.entries(data.parts)) put(id, html);
    tick();
  });
}

// ---------------------------------------------------------------------------------------------------------- charts

const SVG = "http://www.w3.org/2000/svg";

function make(name, attributes) {
  const one = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) one.setAttribute(key, value);
  return one;
}

function attachChart(chart) {
  let total = 0;
  const times = chart.dataset.t.split(" ").map((step) => (total += Number(step)));
  const [first, last] = [times[0], times.at(-1)];
  const series = [...chart.querySelectorAll("[data-v]")].map((one) => ({
    key: one.dataset.key, extra: one.dataset.extra, values: one.dataset.v.split(" "),
  }));
  const plots = [...chart.querySelectorAll(".plot")];
  const when = chart.querySelector("[data-when]");
  const resting = when.textContent;
  const readouts = new Map([...chart.querySelectorAll("[data-readout]")].map((one) => [one.dataset.readout, one]));
  const ends = new Map([...readouts].map(([key, one]) => [key, one.textContent]));
  const digits = (value, places) => (Number.isNaN(Number(value)) ? "–" : Number(value).toFixed(places).replace("-", "−"));
  let at = times.length - 1;
  let from = null;

  chart.tabIndex = 0;
  chart.setAttribute("role", "slider");
  chart.setAttribute("aria-label", `${chart.querySelector(".title").textContent} over time: arrows move, plus and minus zoom, Escape shows everything`);
  chart.setAttribute("aria-valuemin", first);
  chart.setAttribute("aria-valuemax", last);
  chart.setAttribute("aria-valuenow", times[at]);
  chart.setAttribute("aria-valuetext", resting);

  const clear = () => chart.querySelectorAll(".cross, .brush").forEach((one) => one.remove());
  const share = (time) => ((time - first) / (last - first)) * 100;
  const nearest = (time) => {
    let low = 0, high = times.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      times[middle] < time ? (low = middle) : (high = middle);
    }
    return time - times[low] < times[high] - time ? low : high;
  };

  function show(index) {
    at = Math.min(times.length - 1, Math.max(0, index));
    clear();
    const x = `${share(times[at])}%`;
    for (const plot of plots) plot.append(make("line", { class: "cross", x1: x, x2: x, y1: 0, y2: plot.dataset.plot }));
    if (from !== null) {
      const [low, high] = [from, times[at]].sort((a, b) => a - b);
      for (const plot of plots) {
        plot.append(make("rect", { class: "brush", x: `${share(low)}%`, width: `${share(high) - share(low)}%`, height: plot.dataset.plot }));
      }
    }
    const words = [moment(times[at])];
    for (const { key, extra, values } of series) {
      if (key) readouts.get(key).textContent = digits(values[at], chart.dataset.digits);
      else words.push(`${extra} ${digits(values[at] * 100, 1)}${THIN}%`);
    }
    when.textContent = words.join(" · ");
    const spoken = [...readouts].map(([, one]) => `${one.previousSibling.textContent.trim()} ${one.textContent}`);
    chart.setAttribute("aria-valuenow", times[at]);
    chart.setAttribute("aria-valuetext", [...words, ...spoken].join(", "));
  }

  function rest() {
    clear();
    from = null;
    when.textContent = resting;
    for (const [key, one] of readouts) one.textContent = ends.get(key);
  }

  const zoom = (start, end) => go(changed({ start: Math.round(start), end: Math.round(end), span: null }));
  const all = () => go(changed({ start: null, end: null, span: null }));
  const time = (event) => {
    const box = plots[0].getBoundingClientRect();
    return first + Math.min(1, Math.max(0, (event.clientX - box.left) / box.width)) * (last - first);
  };

  for (const plot of plots) {
    plot.addEventListener("pointermove", (event) => show(nearest(time(event))));
    plot.addEventListener("pointerleave", () => from === null && rest());
    plot.addEventListener("pointerdown", (event) => {
      if (event.button !== 0 || event.pointerType === "touch") return;
      event.preventDefault();
      plot.setPointerCapture(event.pointerId);
      from = times[nearest(time(event))];
    });
    plot.addEventListener("pointerup", (event) => {
      const [low, high] = [from, times[nearest(time(event))]].sort((a, b) => a - b);
      rest();
      if (low !== null && high - low > (last - first) / 100) zoom(low, high);
    });
    plot.addEventListener("dblclick", all);
  }
  chart.addEventListener("blur", rest);
  chart.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? Math.ceil(times.length / 20) : 1;
    const reach = (factor) => zoom(times[at] - (times[at] - first) * factor, times[at] + (last - times[at]) * factor);
    const actions = {
      ArrowLeft: () => show(at - step), ArrowRight: () => show(at + step), Home: () => show(0), End: () => show(times.length - 1),
      PageUp: () => show(at + 50), PageDown: () => show(at - 50), "+": () => reach(0.5), "=": () => reach(0.5), "-": () => reach(2), Escape: all,
    };
    if (event.ctrlKey || event.metaKey || event.altKey || !actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });
}

// ----------------------------------------------------------------------------------------------------------- start

function attach(part) {
  part.querySelectorAll(".chart").forEach(attachChart);
  for (const select of part.querySelectorAll(".filter select")) select.addEventListener("change", () => select.form.requestSubmit());
  for (const form of part.querySelectorAll("form.filter")) {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const fields = Object.fromEntries([...new FormData(form)].map(([name, value]) => [name, value || null]));
      if (fields.order === "sector") fields.order = null;
      go(changed(fields));
    });
  }
  const slider = part.querySelector("#slider");
  slider?.addEventListener("input", () => {
    part.querySelector("#slider-time").textContent = moment(slider.value * slider.dataset.period);
    slider.setAttribute("aria-valuetext", moment(slider.value * slider.dataset.period));
  });
  slider?.addEventListener("change", () => go(changed({ head: slider.value === slider.max ? null : slider.value })));
}

// Our own links keep the place on the page: steps through time, spans of the charts.
document.addEventListener("click", (event) => {
  const link = event.target.closest?.(".steps a, .spans a, #history a");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button !== 0) return;
  event.preventDefault();
  go(link.getAttribute("href").split("#")[0]);
});

document.querySelectorAll("[data-part]").forEach(attach);
tick();
setInterval(tick, 1000);
listen();
