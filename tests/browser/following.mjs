// What an open page follows by itself, what that costs, and what it leaves alone.
import assert from "node:assert/strict";
import { accessible, base, goto, step } from "./helpers.mjs";

const WIDE = { width: 1680, height: 1000 };
/** Whoever else was there just now is named, too. */
const LOOKS = /wang.* looking at this/;

/** A page of this person's that hears of nothing by itself: what happens is told to it by `tell`, once. */
async function deaf(person, viewport) {
  const page = await person.context().newPage();
  page.setDefaultTimeout(20_000);
  if (viewport) await page.setViewportSize(viewport);
  page.asked = [];
  page.on("request", (request) => request.headers()["hx-request"] && page.asked.push(request.url().slice(base.length)));
  await page.addInitScript(() => {
    const Real = window.EventSource;
    window.streams = [];
    window.asking = 0;
    document.addEventListener("htmx:before:request", () => window.asking++);
    document.addEventListener("htmx:finally:request", () => !--window.asking && window.idle?.());
    window.EventSource = class extends Real {
      constructor(...all) {
        super(...all);
        this.close();
        window.streams.push(this);
      }
    };
  });
  return page;
}

/** Something has happened; what the page asked for because of it. */
async function tell(page) {
  page.asked.length = 0;
  await page.evaluate(async () => {
    window.streams.at(-1).dispatchEvent(new Event("changed"));
    await new Promise((done) => setTimeout(done));
    if (window.asking) await new Promise((done) => (window.idle = done));
  });
  return [...page.asked];
}

/** Neither the pointer nor the keyboard is in any part. */
async function away(page) {
  await page.mouse.move(0, 0);
  await page.evaluate(() => document.activeElement.blur());
}

/** A request that waits for a person, and its review. */
async function waiting(page) {
  await goto(page, "/console/requests?q=state%3Ain_review%20process%3Acard_unbind");
  const request = await page.locator("a.go").last().getAttribute("href");
  await goto(page, request);
  return { request, review: await page.locator("#standing a[href^='/console/reviews/']").getAttribute("href") };
}

/** On a page of its own, so that others learn of it as if somebody else had done it. */
async function act(person, request, summary, fill, button, says) {
  const page = await person.context().newPage();
  await goto(page, request);
  const part = page.locator("#acts details", { has: page.locator("summary", { hasText: summary }) });
  await part.locator("summary").click();
  if (fill) await part.locator("[name=note]").fill(fill);
  await part.locator(button).click();
  await page.getByText(says).first().waitFor();
  await page.close();
}

const withdraw = (person, request) => act(person, request, "Withdraw", "", "button.danger", "Withdrawn.");

export async function following({ root, wang }) {
  await step("a row of the list leaves a decision that was begun only when it is chosen twice", async () => {
    const page = await deaf(root, WIDE);
    await goto(page, "/console/reviews?tab=unassigned");
    await page.locator("a.go").first().click();
    await page.waitForURL(/\/console\/reviews\/[0-9a-f-]{36}\?/);
    // Nothing is begun: a row leads on.
    const first = page.url();
    await page.locator("nav.picks a.go:not([aria-current])").first().click();
    await page.waitForURL((url) => url.href !== first && url.search === new URL(first).search);
    await page.locator("[data-claim]").click();
    await page.getByText("You work on this until").waitFor();
    const here = page.url();
    const row = page.locator("nav.picks [aria-current]");
    assert.equal(await row.getAttribute("href"), new URL(here).pathname + new URL(here).search, "claimed, its row stays");
    assert.equal(await row.locator(".who").innerText(), "you");
    await page.locator("input[name=choice]").first().check();
    await page.locator("textarea[name=note]").fill("half a thought");
    const begun = page.getByText("You have begun a decision.");
    await page.locator("nav.picks a.go:not([aria-current])").first().click();
    await begun.waitFor();
    assert.equal(page.url(), here);
    assert.equal(await page.evaluate(() => document.activeElement.value), "next");
    // At the end of the page its header lies over the list's head.
    await page.evaluate(() => scrollTo(0, 0));
    await accessible(page, "a decision that a row would leave behind");
    // Who goes on writing has not meant it.
    await page.locator("textarea[name=note]").fill("half a thought, and more");
    assert.equal(await begun.count(), 0);
    await page.evaluate(() => document.activeElement.blur());
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await begun.waitFor();
    assert.equal(await page.locator("textarea[name=note]").inputValue(), "half a thought, and more");
    // What is written for another act counts, too, before any answer is chosen.
    await page.locator("input[name=choice]").first().evaluate((box) => (box.checked = false));
    await page.locator("textarea[name=note]").evaluate((field) => (field.value = ""));
    await page.locator("textarea[name='said.note']").fill("half a note");
    assert.equal(await begun.count(), 0);
    await page.locator("nav.picks a.go:not([aria-current])").first().click();
    await begun.waitFor();
    assert.equal(await page.evaluate(() => document.activeElement.name), "choice");
    await page.locator("nav.picks a.go:not([aria-current])").first().click();
    await page.waitForURL((url) => url.href !== here);
    await goto(page, here.slice(base.length));
    await page.getByRole("button", { name: "Give back" }).click();
    await page.getByText("Given back.").waitFor();
    await page.close();
  });

  await step("an open review asks once for what has changed, and for no list that is not shown", async () => {
    const page = await deaf(root);
    const { request, review } = await waiting(page);
    await goto(page, `${review}?tab=team`);
    const standing = `${review}?tab=team&part=standing`;
    assert.equal(await page.locator("nav.picks").isVisible(), false);
    assert.deepEqual(await tell(page), [standing]);
    const asked = page.waitForRequest((request) => request.url().endsWith("part=list"));
    await page.setViewportSize(WIDE);
    await asked;
    await page.waitForFunction(() => window.asking === 0);
    assert.deepEqual((await tell(page)).toSorted(), [`${review}?tab=team&part=list`, standing]);
    // Who else looks is told with it, and is gone when it is over.
    await goto(wang, review);
    await tell(page);
    await page.locator("#present", { hasText: LOOKS }).waitFor();
    await withdraw(root, request);
    await tell(page);
    await page.locator("#now", { hasText: "This is not asked any more" }).waitFor();
    assert.equal(await page.locator("#present").innerText(), "");
    assert.equal(await page.locator("[data-present], #present[data-follow]").count(), 0, "and it asks no more");
    await page.close();
  });

  await step("a list shows at once who has opened a review", async () => {
    const { review } = await waiting(wang);
    await goto(root, "/console/reviews?tab=team");
    await root.locator("[data-live-button][data-state=live]").waitFor();
    await away(root);
    await goto(wang, review);
    await root.locator("tr.link", { hasText: LOOKS }).locator(`a[href^="${review}"]`).waitFor();
  });

  await step("an open request asks once, leaves alone what is opened or written in, and shows its end", async () => {
    const page = await deaf(root);
    const { request } = await waiting(page);
    await away(page);
    assert.deepEqual(await tell(page), [request]);
    const opened = page.locator("#story details").first();
    await opened.locator("summary").click();
    await away(page);
    const note = (text) => act(wang, request, "note", text, "button", "Noted in the ledger.");
    await note("seen by wang");
    assert.deepEqual(await tell(page), [request], "for the other parts");
    assert.equal(await opened.getAttribute("open"), "");
    assert.equal(await page.locator("#story").getByText("seen by wang").count(), 0);
    assert.equal(await page.locator("[data-live-button]").getAttribute("data-state"), "waiting");
    await opened.locator("summary").click();
    await away(page);
    await page.locator("#story").getByText("seen by wang").first().waitFor();
    // A note that is begun is not taken away, not even by the end of the request.
    const mine = page.locator("#acts details", { has: page.locator("textarea[name=note]") });
    await mine.locator("summary").click();
    await mine.locator("textarea").fill("half a note");
    await mine.locator("summary").click();
    await away(page);
    await withdraw(wang, request);
    await tell(page);
    await page.locator("#standing .chip.withdrawn").waitFor();
    await page.locator("#facts dt", { hasText: "Ended" }).waitFor();
    assert.equal(await mine.locator("textarea").inputValue(), "half a note");
    await mine.locator("textarea").evaluate((field) => (field.value = ""));
    assert.deepEqual(await tell(page), [request]);
    assert.equal(await page.locator("#acts *").count(), 0, "nothing can be done about it any more");
    assert.equal(await page.locator("[data-follow]").count(), 0);
    assert.deepEqual(await tell(page), [], "an end is followed no more");
    await page.close();
  });
}
