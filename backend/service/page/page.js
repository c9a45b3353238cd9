"use strict";
// Asks for the jobs every two seconds and shows them. Text goes in as text, never as HTML.
const PAUSE_MS = 2000, POINTS = 600;
const shown = new Map();  // job id -> its article, what its picture and its plot hold

function seconds(value) {
  if (value < 100) return `${Math.round(value)} s`;
  return value < 6000 ? `${Math.round(value / 60)} min` : `${Math.round(value / 3600)} h`;
}

function words(job) {
  const parts = [job.kind, job.state];
  if (job.state === "running") parts.push(job.stage, `${Math.round(100 * job.fraction)} %`);
  if (job.eta_s !== null && job.state === "running") parts.push(`${seconds(job.eta_s)} left`);
  if (job.position !== null) parts.push(job.position === 0 ? "next" : `after ${job.position} others`);
  if (job.attempt > 1) parts.push(`attempt ${job.attempt}`);
  parts.push(job.device, new Date(1000 * job.created_at).toLocaleString());
  return parts.filter(Boolean).join(" · ");
}

function make() {
  const article = document.getElementById("job").content.firstElementChild.cloneNode(true);
  return { article, preview: 0, points: [] };
}

function update(entry, job) {
  const find = (selector) => entry.article.querySelector(selector);
  entry.article.className = job.state;
  find("h2").textContent = job.job_id;
  find(".what").textContent = words(job);
  find(".message").textContent = job.error || job.message;
  const percent = job.state === "succeeded" ? 100 : 100 * job.fraction;
  find(".bar div").style.width = `${percent}%`;
  find(".bar").setAttribute("aria-valuenow", Math.round(percent));
  find(".none").textContent = ["succeeded", "failed", "cancelled"].includes(job.state) ? "no picture" : "no picture yet";
  if (job.preview > entry.preview) {
    entry.preview = job.preview;
    find("img").src = `/preview/${job.job_id}.png?${job.preview}`;
    find("img").alt = `what job ${job.job_id} is making`;
    find(".picture").classList.add("shown");
  }
  if (job.state === "running") plot(entry, find("polyline"), job.fraction);
}

function plot(entry, line, fraction) {
  entry.points.push([Date.now(), fraction]);
  if (entry.points.length > POINTS) entry.points.shift();
  const first = entry.points[0][0], span = Math.max(1, Date.now() - first);
  line.setAttribute("points", entry.points.map(([at, y]) => `${240 * (at - first) / span},${39 - 38 * y}`).join(" "));
}

async function refresh() {
  const state = document.getElementById("state"), list = document.getElementById("jobs");
  try {
    const answer = await (await fetch("/jobs.json", { cache: "no-store" })).json();
    const gone = new Set(shown.keys());
    for (const job of answer.jobs) {
      if (!shown.has(job.job_id)) shown.set(job.job_id, make());
      gone.delete(job.job_id);
      update(shown.get(job.job_id), job);
      list.append(shown.get(job.job_id).article);
    }
    for (const id of gone) { shown.get(id).article.remove(); shown.delete(id); }
    const counts = Object.entries(answer.counts).map(([name, number]) => `${number} ${name}`).join(", ");
    state.textContent = `${counts || "no jobs yet"} · ${(answer.free_disk / 1e9).toFixed(1)} GB free · up ${seconds(answer.uptime_s)}`;
  } catch { state.textContent = "The service does not answer. digidouble serve starts it."; }
  setTimeout(refresh, PAUSE_MS);
}
refresh();
