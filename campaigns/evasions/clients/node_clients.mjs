// Ordinary clients on node: each sends one create as its documentation shows it, and prints the status of the answer.

import { createRequire } from "node:module";
import http from "node:http";

const [name, port, ref, modules] = process.argv.slice(2);
const base = `http://127.0.0.1:${port}`;
const user = { name: "Ada", email: `${ref}@example.org` };
const json = { "Content-Type": "application/json" };
const axios = () => createRequire(`${modules}/`)("axios");
const any = { validateStatus: () => true };

function form() {
  const data = new FormData();
  data.append("email", user.email);
  data.append("photo", new Blob(["x"], { type: "image/png" }), "ada.png");
  return data;
}

const clients = {
  "fetch, JSON": async () =>
    (await fetch(`${base}/users`, { method: "POST", headers: json, body: JSON.stringify(user) })).status,
  "fetch, a stream": async () =>
    (
      await fetch(`${base}/users`, {
        method: "POST",
        headers: json,
        duplex: "half",
        body: new Blob([JSON.stringify(user)]).stream(),
      })
    ).status,
  "fetch, a form": async () =>
    (await fetch(`${base}/signups?ref=${ref}`, { method: "POST", body: new URLSearchParams(user) })).status,
  "fetch, a form in parts": async () =>
    (await fetch(`${base}/signups?ref=${ref}`, { method: "POST", body: form() })).status,
  "http, JSON": () =>
    new Promise((resolve, reject) => {
      const request = http.request(`${base}/users`, { method: "POST", headers: json }, (answer) => {
        answer.resume();
        resolve(answer.statusCode);
      });
      request.on("error", reject);
      request.end(JSON.stringify(user));
    }),
  "axios, JSON": async () => (await axios().post(`${base}/users`, user, any)).status,
  "axios, a form": async () =>
    (await axios().post(`${base}/signups`, new URLSearchParams(user), { ...any, params: { ref } })).status,
  "axios, a form in parts": async () =>
    (await axios().postForm(`${base}/signups`, { email: user.email }, { ...any, params: { ref } })).status,
};

console.log(await clients[name]());
process.exit();
