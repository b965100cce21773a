"use strict";
// Draws boxes, capsules and cloth in WebGL 2; `view` is where the eye stands.
const view = { yaw: 0.35, pitch: 0.6, distance: 1.45 };
const TARGET = [0.0, 0.0, 0.12];

// ---- meshes of unit shapes, as triangles
function ring(n) {
  return Array.from({ length: n + 1 }, (_, i) => [Math.cos((2 * Math.PI * i) / n), Math.sin((2 * Math.PI * i) / n)]);
}
function quad(out, a, b, c, d) { out.push(a, b, c, a, c, d); }
function lathe(profile, n = 20) {
  const out = [], circle = ring(n);
  for (let k = 0; k + 1 < profile.length; k++)
    for (let i = 0; i < n; i++) {
      const at = (p, j) => [p[0] * circle[j][0], p[0] * circle[j][1], p[1]];
      quad(out, at(profile[k], i), at(profile[k], i + 1), at(profile[k + 1], i + 1), at(profile[k + 1], i));
    }
  return out;
}
function arc(radius, from, to, lift, n = 6) {
  return Array.from({ length: n + 1 }, (_, i) => {
    const angle = from + ((to - from) * i) / n;
    return [radius * Math.cos(angle), lift + radius * Math.sin(angle)];
  });
}
function triangles(shape) {
  const [a, b, c] = shape.size, half = Math.PI / 2;
  if (shape.kind === "sphere") return lathe(arc(a, -half, half, 0, 12));
  if (shape.kind === "capsule") return lathe([...arc(a, -half, 0, -b), ...arc(a, 0, half, b)]);
  if (shape.kind === "cylinder") return lathe([[0, -b], [a, -b], [a, b], [0, b]]);
  const out = [];
  const corner = (x, y, z) => [x * a, y * b, z * c];
  if (shape.kind === "plane") {
    quad(out, [-a, -b, 0], [a, -b, 0], [a, b, 0], [-a, b, 0]);
    return out;
  }
  for (const s of [-1, 1]) {
    quad(out, corner(s, -1, -1), corner(s, 1, -1), corner(s, 1, 1), corner(s, -1, 1));
    quad(out, corner(-1, s, -1), corner(1, s, -1), corner(1, s, 1), corner(-1, s, 1));
    quad(out, corner(-1, -1, s), corner(1, -1, s), corner(1, 1, s), corner(-1, 1, s));
  }
  return out;
}
function turn(q, v) {
  const [w, x, y, z] = q;
  const t = [2 * (y * v[2] - z * v[1]), 2 * (z * v[0] - x * v[2]), 2 * (x * v[1] - y * v[0])];
  return [
    v[0] + w * t[0] + y * t[2] - z * t[1],
    v[1] + w * t[1] + z * t[0] - x * t[2],
    v[2] + w * t[2] + x * t[1] - y * t[0],
  ];
}

// ---- drawing
const VERTEX = `#version 300 es
in vec3 at; in vec3 rgb; uniform mat4 camera; uniform vec3 pos; uniform vec4 quat; out vec3 world; out vec3 colour;
void main() { vec3 t = 2.0 * cross(quat.yzw, at); world = pos + at + quat.x * t + cross(quat.yzw, t);
  colour = rgb; gl_Position = camera * vec4(world, 1.0); }`;
const FRAGMENT = `#version 300 es
precision highp float; in vec3 world; in vec3 colour; out vec4 seen; uniform vec3 eye;
void main() { vec3 n = normalize(cross(dFdx(world), dFdy(world))); if (dot(n, eye - world) < 0.0) n = -n;
  float light = 0.45 + 0.45 * max(dot(n, normalize(vec3(0.3, -0.4, 0.9))), 0.0) + 0.15 * abs(n.x);
  seen = vec4(colour * light, 1.0); }`;

function program(gl) {
  const made = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, VERTEX], [gl.FRAGMENT_SHADER, FRAGMENT]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(made, shader);
  }
  gl.bindAttribLocation(made, 0, "at");
  gl.bindAttribLocation(made, 1, "rgb");
  gl.linkProgram(made);
  return made;
}
function multiply(a, b) {
  const out = new Float32Array(16);
  for (let c = 0; c < 4; c++)
    for (let r = 0; r < 4; r++) for (let k = 0; k < 4; k++) out[4 * c + r] += a[4 * k + r] * b[4 * c + k];
  return out;
}
function eyePoint() {
  const flat = view.distance * Math.cos(view.pitch);
  return [
    TARGET[0] + flat * Math.cos(view.yaw),
    TARGET[1] + flat * Math.sin(view.yaw),
    TARGET[2] + view.distance * Math.sin(view.pitch),
  ];
}
function cameraMatrix(eye, aspect) {
  const unit = (v) => { const n = Math.hypot(...v); return v.map((x) => x / n); };
  const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];
  const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
  const z = unit(eye.map((x, i) => x - TARGET[i])), x = unit(cross([0, 0, 1], z)), y = cross(z, x);
  const look = new Float32Array([x[0], y[0], z[0], 0, x[1], y[1], z[1], 0, x[2], y[2], z[2], 0, -dot(x, eye), -dot(y, eye), -dot(z, eye), 1]);
  const f = 1 / Math.tan(0.42), near = 0.05, far = 12;
  const lens = new Float32Array([f / aspect, 0, 0, 0, 0, f, 0, 0, 0, 0, (far + near) / (near - far), -1, 0, 0, (2 * far * near) / (near - far), 0]);
  return multiply(lens, look);
}
function makeScene(canvas, scene) {
  const gl = canvas.getContext("webgl2", { antialias: true, preserveDrawingBuffer: true });
  if (!gl) { canvas.replaceWith("This browser draws no WebGL 2."); return null; }
  const made = program(gl), at = (name) => gl.getUniformLocation(made, name);
  const where = { camera: at("camera"), pos: at("pos"), quat: at("quat"), eye: at("eye") };
  const upload = (values, use) => {
    const array = gl.createVertexArray(), buffer = gl.createBuffer();
    gl.bindVertexArray(array);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, values, use);
    for (const [place, offset] of [[0, 0], [1, 12]]) {
      gl.enableVertexAttribArray(place);
      gl.vertexAttribPointer(place, 3, gl.FLOAT, false, 24, offset);
    }
    return { array, buffer, count: values.length / 6 };
  };
  const perBody = Array.from({ length: scene.bodies }, () => []);
  for (const shape of scene.shapes)
    for (const v of triangles(shape)) {
      const p = turn(shape.quat, v);
      perBody[shape.body].push(p[0] + shape.pos[0], p[1] + shape.pos[1], p[2] + shape.pos[2], ...shape.rgb);
    }
  const bodies = perBody.map((values) => upload(new Float32Array(values), gl.STATIC_DRAW));
  const clothValues = new Float32Array(6 * scene.triangles.length);
  scene.triangles.forEach((_, i) => clothValues.set(scene.clothColour, 6 * i + 3));
  const fabric = scene.points ? upload(clothValues, gl.DYNAMIC_DRAW) : null;
  gl.enable(gl.DEPTH_TEST);
  gl.clearColor(0.13, 0.15, 0.17, 1);
  // poses: 7 numbers a body, position [m] and quaternion (w first); cloth: 3 a mass point [m].
  return (poses, cloth) => {
    const eye = eyePoint();
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT);
    gl.useProgram(made);
    gl.uniformMatrix4fv(where.camera, false, cameraMatrix(eye, canvas.width / canvas.height));
    gl.uniform3fv(where.eye, eye);
    bodies.forEach((body, number) => {
      gl.uniform3fv(where.pos, poses.slice(7 * number, 7 * number + 3));
      gl.uniform4fv(where.quat, poses.slice(7 * number + 3, 7 * number + 7));
      gl.bindVertexArray(body.array);
      gl.drawArrays(gl.TRIANGLES, 0, body.count);
    });
    if (!fabric) return;
    scene.triangles.forEach((point, i) => {
      for (let k = 0; k < 3; k++) clothValues[6 * i + k] = cloth[3 * point + k];
    });
    gl.bindBuffer(gl.ARRAY_BUFFER, fabric.buffer);
    gl.bufferSubData(gl.ARRAY_BUFFER, 0, clothValues);
    gl.uniform3fv(where.pos, [0, 0, 0]);
    gl.uniform4fv(where.quat, [1, 0, 0, 0]);
    gl.bindVertexArray(fabric.array);
    gl.drawArrays(gl.TRIANGLES, 0, fabric.count);
  };
}
// Turns and zooms by mouse or fingers.
function followPointers(canvas, redraw) {
  const fingers = new Map();
  canvas.addEventListener("pointerdown", (event) => { canvas.setPointerCapture(event.pointerId); fingers.set(event.pointerId, event); });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, (event) => fingers.delete(event.pointerId));
  canvas.addEventListener("pointermove", (event) => {
    const before = fingers.get(event.pointerId);
    if (!before) return;
    if (fingers.size === 1) {
      view.yaw -= (event.clientX - before.clientX) * 0.008;
      view.pitch = Math.min(1.5, Math.max(0.02, view.pitch + (event.clientY - before.clientY) * 0.008));
    } else {
      const other = [...fingers.values()].find((finger) => finger.pointerId !== event.pointerId);
      const apart = (finger) => Math.hypot(finger.clientX - other.clientX, finger.clientY - other.clientY);
      view.distance = Math.min(5, Math.max(0.4, view.distance * (apart(before) / Math.max(1, apart(event)))));
    }
    fingers.set(event.pointerId, event);
    redraw();
  });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    view.distance = Math.min(5, Math.max(0.4, view.distance * Math.exp(event.deltaY * 0.001)));
    redraw();
  }, { passive: false });
}
