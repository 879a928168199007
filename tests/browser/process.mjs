// Starts and ends the programs a browser needs, and waits for what they say.
// Nothing outlives this process: every child and every profile is undone by `endAll`.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const undo = [];

/** Undoes everything started here, last first. Safe to call twice. */
export function endAll() {
  for (const step of undo.splice(0).reverse()) {
    try { step(); } catch { /* it is gone already */ }
  }
}

/** An empty directory of its own, removed at the end. */
export function freshDirectory(name) {
  const path = mkdtempSync(join(tmpdir(), `cupel-${name}-`));
  undo.push(() => rmSync(path, { recursive: true, force: true, maxRetries: 3, retryDelay: 100 }));
  return path;
}

/** Starts a program in a process group of its own; the whole group is killed at the end. */
export function start(program, args, { env = {}, extraPipes = 0 } = {}) {
  const stdio = ['ignore', 'pipe', 'pipe', ...Array(extraPipes).fill('pipe')];
  const child = spawn(program, args, { stdio, detached: true, env: { ...process.env, ...env } });
  child.said = '';
  const keep = (data) => { child.said = (child.said + data).slice(-65536); };
  child.stdout.on('data', keep);
  child.stderr.on('data', keep);
  child.failed = new Promise((_, refuse) => {
    child.on('error', (error) => refuse(new Error(`cannot start ${program}: ${error.message}`)));
    child.on('exit', (code, signal) => refuse(
      new Error(`${program} ended (${signal ?? code}): ${child.said.trim().slice(-600)}`)));
  });
  child.failed.catch(() => {});
  undo.push(() => child.pid && process.kill(-child.pid, 'SIGKILL'));
  return child;
}

/** Rejects with `what` when `promise` has not settled within `ms`. */
export function within(ms, what, promise) {
  let timer;
  const late = new Promise((_, refuse) => {
    timer = setTimeout(() => refuse(new Error(`timed out after ${ms} ms: ${what}`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Asks `question` again until its answer is truthy; null when `ms` have passed. */
export async function until(ms, question) {
  for (const end = Date.now() + ms; Date.now() < end;) {
    const answer = await question();
    if (answer) return answer;
    await new Promise((next) => setTimeout(next, 25));
  }
  return null;
}

/** A virtual display for browsers without a headless mode; answers the value of DISPLAY. */
export async function display() {
  const server = start('Xvfb',
    ['-displayfd', '1', '-screen', '0', '1400x1000x24', '-nolisten', 'tcp', '-noreset']);
  const number = until(10_000, async () => /^(\d+)\s*$/m.exec(server.said)?.[1]);
  const found = await Promise.race([number, server.failed]);
  if (!found) throw new Error('Xvfb gave no display within 10 s');
  return `:${found}`;
}
