"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const byId = (name) => document.getElementById(name);
const state = { tick: 0, playing: false, since: 0 };

// ---- numbers: differences of 16-bit integers, zipped
async function unpack(text, width) {
  if (!width) return new Int16Array(0);
  const raw = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([raw]).stream().pipeThrough(new DecompressionStream("gzip"));
  const values = new Int16Array(await new Response(stream).arrayBuffer());
  for (let i = width; i < values.length; i++) values[i] += values[i - width];
  return values;
}

async function makeReplay(canvas, scene) {
  const draw = makeScene(canvas, scene);
  if (!draw) return null;
  const poses = await unpack(scene.poses, 7 * scene.bodies), cloth = await unpack(scene.cloth, 3 * scene.points);
  const steps = [scene.stepM, scene.stepM, scene.stepM, scene.stepQuat, scene.stepQuat, scene.stepQuat, scene.stepQuat];
  return (tick) => {
    const row = Math.min(Math.max(0, tick), scene.ticks - 1);
    const part = (values, width) => Array.from(values.subarray(row * width, (row + 1) * width));
    draw(part(poses, 7 * scene.bodies).map((x, i) => x * steps[i % 7]), part(cloth, 3 * scene.points).map((x) => x * scene.stepM));
  };
}

// ---- time
const films = Array.from(document.querySelectorAll("video.film"));
let drawings = [];
function show(follow = true) {
  const tick = Math.round(state.tick);
  for (const draw of drawings) draw(tick);
  byId("time").value = tick;
  byId("told").value = `tick ${tick} · ${(tick / data.hz).toFixed(2)} s`;
  const x = tick * data.px, box = byId("scroll");
  for (const end of ["x1", "x2"]) byId("cursor").setAttribute(end, x);
  if (follow && (x < box.scrollLeft + 40 || x > box.scrollLeft + box.clientWidth - 40)) box.scrollLeft = x - box.clientWidth / 3;
  if (!state.playing) for (const film of films) if (film.readyState) film.currentTime = Math.min(tick / data.hz, film.duration || 0);
}
function step(now) {
  if (!state.playing) return;
  state.tick = Math.min(data.ticks, state.tick + ((now - state.since) / 1000) * data.hz * Number(byId("rate").value));
  state.since = now;
  if (state.tick >= data.ticks) play(false);
  show();
  if (state.playing) requestAnimationFrame(step);
}
function play(on) {
  if (on && state.tick >= data.ticks) state.tick = 0;
  state.playing = on;
  byId("play").textContent = on ? "Pause" : "Play";
  for (const film of films) {
    film.playbackRate = Number(byId("rate").value);
    if (on) { film.currentTime = state.tick / data.hz; film.play().catch(() => {}); } else film.pause();
  }
  if (on) { state.since = performance.now(); requestAnimationFrame(step); }
}
function go(tick, follow = true) {
  state.tick = Math.min(data.ticks, Math.max(0, tick));
  if (state.playing) for (const film of films) film.currentTime = state.tick / data.hz;
  show(follow);
}
byId("play").addEventListener("click", () => play(!state.playing));
byId("rate").addEventListener("change", () => { for (const film of films) film.playbackRate = Number(byId("rate").value); });
byId("time").addEventListener("input", (event) => go(Number(event.target.value)));
const lanes = document.querySelector(".lanes");
const pointed = (event) => go((event.clientX - lanes.getBoundingClientRect().left) / data.px, false);
lanes.addEventListener("pointerdown", (event) => { lanes.setPointerCapture(event.pointerId); pointed(event); });
lanes.addEventListener("pointermove", (event) => { if (event.buttons) pointed(event); });
document.addEventListener("keydown", (event) => {
  const by = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -10, ArrowDown: 10 }[event.key];
  if (event.target.tagName === "INPUT" || event.target.tagName === "SELECT") return;
  if (by) { event.preventDefault(); go(Math.round(state.tick) + by); }
  if (event.key === " " && event.target.tagName !== "BUTTON") { event.preventDefault(); play(!state.playing); }
});
(async () => {
  const canvases = Array.from(document.querySelectorAll("canvas.scene"));
  drawings = (await Promise.all(canvases.map((canvas, n) => makeReplay(canvas, data.scenes[n])))).filter(Boolean);
  for (const canvas of canvases) followPointers(canvas, () => show(false));
  go(data.first_event);
  document.body.dataset.ready = String(drawings.length);
})();
