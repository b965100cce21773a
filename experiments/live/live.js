const byId = (name) => document.getElementById(name);
const token = document.body.dataset.token;
const CHUNKS = ["#56b4e9", "#e69f00", "#009e73", "#cc79a7"];
const SHOWN = 300;
let draw = null, frame = null, ticks = [], buttons = "";

async function order(what) {
  const answer = await fetch("/order", {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Token": token },
    body: JSON.stringify(what),
  });
  if (!answer.ok) say(await answer.text());
}
function say(text) {
  const line = document.createElement("li");
  line.textContent = text;
  byId("messages").prepend(line);
  while (byId("messages").children.length > 4) byId("messages").lastChild.remove();
}
function redraw() { if (draw && frame) draw(frame.poses, frame.cloth); }
function begin(scene) {
  const old = byId("scene"), canvas = old.cloneNode();
  old.replaceWith(canvas);
  draw = makeScene(canvas, scene);
  followPointers(canvas, redraw);
  ticks = [];
  if (buttons !== scene.events.join()) {
    buttons = scene.events.join();
    byId("events").replaceChildren(byId("events").firstElementChild, ...scene.events.map((name) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = name;
      button.dataset.event = name;
      button.addEventListener("click", () => order({ do: "event", name }));
      return button;
    }));
    const option = (text) => Object.assign(document.createElement("option"), { value: text, textContent: text });
    byId("latencies").replaceChildren(...scene.latencies.map(option));
    byId("strategy").replaceChildren(option(""), ...scene.strategies.map(option));
  }
}
function show(next) {
  frame = next;
  const last = ticks[ticks.length - 1];
  if (next.chunk >= 0 || next.tick > 0) if (!last || last.tick !== next.tick) ticks.push(next);
  ticks = ticks.slice(-SHOWN);
  redraw();
  drawStrip();
  byId("label").textContent = next.label;
  byId("words").textContent = next.instruction;
  byId("play").textContent = next.playing ? "Pause" : "Play";
  const end = next.over ? (next.success ? "solved" : "over") : next.phase;
  byId("told").textContent = `seed ${next.seed} · tick ${next.tick} · ${end} · ${Math.round(100 * next.progress)} %` +
    (next.hold ? " · waits" : ` · action ${next.age} ticks old`);
  document.body.dataset.tick = next.tick;
}
function drawStrip() {
  const canvas = byId("strip"), pen = canvas.getContext("2d"), wide = canvas.width / SHOWN;
  pen.fillStyle = "#22262c";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  ticks.forEach((t, i) => {
    const x = i * wide;
    pen.fillStyle = t.hold ? "#5b626c" : CHUNKS[t.chunk % CHUNKS.length];
    pen.fillRect(x, 12, wide, 26);
    if (t.inferring) { pen.fillStyle = "#c4c8ce"; pen.fillRect(x, 46, wide, 4); }
    if (t.captured) { pen.beginPath(); pen.arc(x + wide / 2, 48, 4, 0, 7); pen.fillStyle = "#ffffff"; pen.fill(); }
    if (t.what.length) { pen.fillStyle = "#ff5b4f"; pen.fillRect(x, 0, 3, 64); }
  });
}
byId("play").addEventListener("click", () => order({ do: frame && frame.playing ? "pause" : "play" }));
byId("step").addEventListener("click", () => order({ do: "step" }));
byId("restart").addEventListener("click", () => order({ do: "restart", seed: Number(byId("seed").value) }));
byId("speed").addEventListener("change", (event) => order({ do: "speed", factor: Number(event.target.value) }));
for (const name of ["latency", "strategy"])
  byId(name).addEventListener("change", (event) => {
    if (event.target.value) order({ do: "change", option: name, value: event.target.value });
  });
const stream = new EventSource(`/stream?token=${encodeURIComponent(token)}`);
stream.onmessage = (event) => {
  const message = JSON.parse(event.data);
  if (message.scene) begin(message.scene);
  if (message.frame) {
    show(message.frame);
    for (const text of message.frame.what) say(`tick ${message.frame.tick}: ${text}`);
  }
  if (message.message) say(message.message);
};
stream.onerror = () => { byId("label").textContent = "the session has ended, or is not to be reached"; };
