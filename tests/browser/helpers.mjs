// A browser with people in it: each has a context of their own, signed in through a link from the command line.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createRequire } from "node:module";
import { readFileSync } from "node:fs";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

export const base = process.env.CONSOLE_URL;
export const pictures = process.env.CONSOLE_PICTURES || "";

export async function start() {
  return chromium.launch({ executablePath: process.env.CHROMIUM || "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
}

/** A new one-time link, as somebody who runs the worker makes it. */
export function link(name, roles, more = []) {
  const args = ["console", "link", name, ...roles.flatMap((role) => ["--role", role]), ...more];
  return execFileSync(process.env.MOZHAO, args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }).trim();
}

/** Somebody, signed in. Everything that a page complains about is a failure. */
export async function person(browser, name, roles, options = {}) {
  const { more = [], ...context } = options;
  const own = await browser.newContext({ viewport: { width: 1360, height: 900 }, locale: "en-GB", timezoneId: "Europe/Berlin", reducedMotion: "reduce", ...context });
  const page = await own.newPage();
  page.setDefaultTimeout(20_000);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(`error: ${error.message}`));
  page.on("console", (message) => {
    const text = message.text();
    // What a status such as 409 or 422 says, the page says, too.
    if (message.type() === "error" && !/status of 4(09|10|22|23)/.test(text)) page.complaints.push(text);
  });
  page.on("dialog", (dialog) => {
    page.complaints.push(`a dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.goto(link(name, roles, more));
  await page.locator("main button.primary").click();
  await page.waitForURL(/\/console\/(reviews|overview|processes)/);
  return page;
}

export async function goto(page, path) {
  const response = await page.goto(base + path);
  assert.equal(response.status(), 200, path);
}

export async function set(page, name, value) {
  await page.locator("details.menu > summary").click();
  await page.locator(`button[name=${name}][value="${value}"]`).click();
  await page.waitForLoadState();
}

/** No violation of WCAG 2.2 AA, nor of axe's best practices. */
export async function accessible(page, what) {
  await page.evaluate(axe);
  const found = await page.evaluate(() =>
    axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }),
  );
  const violations = found.violations.map(
    (violation) => `${violation.id}: ${violation.help}\n    ${violation.nodes.slice(0, 4).map((node) => node.html.slice(0, 160) + "\n      " + node.failureSummary.replaceAll("\n", " ").slice(0, 240)).join("\n    ")}`,
  );
  assert.deepEqual(violations, [], `${what} is not accessible:\n  ${violations.join("\n  ")}`);
}

/** A decision has taken effect: until then it could be taken back. */
export async function effective(page, says) {
  for (let tries = 0; tries < 60; tries++) {
    if (await page.getByText(says).count()) break;
    await page.waitForTimeout(500);
    await page.reload();
  }
  await page.getByText(says).first().waitFor();
}

/** Nothing is wider than the window. */
export async function fits(page, what) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${what} is ${over}px wider than the window`);
}

export async function picture(page, name, full = false) {
  if (!pictures) return;
  // No pointer on a row, no focus ring; times that say nothing about the day it was taken would be lies: they stay.
  await page.mouse.move(0, 0);
  await page.evaluate(() => {
    document.activeElement?.blur();
    window.scrollTo(0, 0);
  });
  await page.screenshot({ path: `${pictures}/${name}.png`, fullPage: full });
}

export async function step(name, work) {
  const began = Date.now();
  try {
    await work();
    console.log(`ok   ${name} (${((Date.now() - began) / 1000).toFixed(1)} s)`);
  } catch (error) {
    console.log(`FAIL ${name}: ${error.stack}`);
    process.exitCode = 1;
  }
}
