// The console in Chromium, over a running demo: a reviewer's morning, an operator's incident, every page in both themes and
// languages, by mouse, by keyboard and without scripts.
import assert from "node:assert/strict";
import { following } from "./following.mjs";
import { accessible, base, effective, fits, goto, person, picture, set, start, step } from "./helpers.mjs";

const browser = await start();
const quiet = (page) => assert.deepEqual(page.complaints, [], "the browser complains");

try {
  const li = await person(browser, "li", ["reviewer"], { more: ["--review-role", "identity"] });
  const ops = await person(browser, "ops", ["operator"]);
  const root = await person(browser, "root", ["admin"]);
  const wang = await person(browser, "wang", ["admin"]);

  await step("pictures of the work that waits", async () => {
    await goto(root, "/console/overview");
    await picture(root, "overview");
    await goto(root, "/console/reviews?tab=team");
    await picture(root, "inbox");
    await goto(root, "/console/requests");
    await picture(root, "requests");
  });

  await step("several that ask the same, seen before they are decided together", async () => {
    await goto(root, "/console/reviews?tab=unassigned&process=card_unbind");
    await root.getByRole("link", { name: /Decide \d+ together: Is this the card holder/ }).click();
    await root.waitForURL(/\/console\/reviews\/together/);
    assert.ok((await root.locator("input[name^='pick.']:checked").count()) > 1);
    await root.locator("input[name=choice][value=approve]").check();
    await root.locator("textarea[name=note]").fill("same person, older pictures");
    await picture(root, "together");
    await accessible(root, "deciding together");
    await root.locator("input[name^='pick.']").evaluateAll((all) => all.forEach((box) => (box.checked = false)));
    await root.locator("textarea[name=note]").fill("none of them");
    await root.getByRole("button", { name: "Decide all that are ticked" }).click();
    await root.getByText("Tick at least one.").waitFor();
    quiet(root);
  });

  await step("a batch is stopped before it begins, and another one is watched to its end", async () => {
    const send = async (which, note) => {
      await goto(root, "/console/reviews?tab=unassigned&process=card_unbind");
      await root.getByRole("link", { name: /Decide \d+ together: Is this the card holder/ }).click();
      await root.waitForURL(/\/console\/reviews\/together/);
      await root.locator("input[name^='pick.']").evaluateAll((all, which) => all.forEach((box, at) => (box.checked = at < which)), which);
      const picked = await root.locator("input[name^='pick.']:checked").count();
      await root.locator("input[name=choice][value=approve]").check();
      await root.locator("textarea[name=note]").fill(note);
      if (picked > 10) await root.locator("input[name=confirm]").fill(String(picked));
      await root.getByRole("button", { name: "Decide all that are ticked" }).click();
      await root.waitForURL(/\/console\/reviews\/batches\/[0-9a-f-]{36}$/);
      return picked;
    };
    const many = await send(99, "all of the morning's list");
    await root.getByText(`0 decided, ${many} under way, 0 skipped, 0 failed`).waitFor();
    await picture(root, "batch");
    await accessible(root, "a batch that waits");
    await root.getByRole("button", { name: "Stop: decide no more" }).click();
    await root.getByText(`0 decided, 0 under way, ${many} skipped, 0 failed`).waitFor();
    await send(2, "same person, older picture");
    // The page follows by itself.
    await root.getByText("2 decided, 0 under way, 0 skipped, 0 failed").waitFor({ timeout: 40_000 });
    await root.getByText("over", { exact: true }).waitFor();
    await accessible(root, "a batch that is over");
    quiet(root);
  });

  await step("filters with a name, for everybody", async () => {
    await goto(root, "/console/reviews?tab=team&process=card_unbind");
    await root.locator("summary", { hasText: "Save as a view" }).click();
    await root.locator(".views input[name=name]").fill("Cards 银行卡");
    await root.locator(".views button").click();
    await root.getByText("Saved.").waitFor();
    await goto(li, "/console/reviews");
    await li.getByRole("link", { name: "Cards 银行卡" }).click();
    await li.waitForURL(/tab=team&process=card/);
    assert.equal(await li.locator(".views a[aria-current=page]").innerText(), "Cards 银行卡");
    await accessible(li, "the inbox with a view");
    await li.getByRole("link", { name: "All views" }).click();
    await li.waitForURL(/\/console\/reviews\/views$/);
    assert.equal(await li.locator("input[name=name]").count(), 0, "it is somebody else's");
    quiet(li);
  });

  await step("a reviewer's morning, by mouse", async () => {
    await goto(root, "/console/reviews?tab=unassigned&process=card_unbind");
    await root.locator("[data-next]").click();
    await root.waitForURL(/\/console\/reviews\/[0-9a-f-]{36}(\?|$)/);
    await root.getByText("You work on this until").waitFor();
    assert.equal(await root.locator("input[name=choice]").count() > 1, true);
    // Told once: that it was claimed.
    await goto(root, new URL(root.url()).pathname);
    // The bar leaves the row that asks in sight, also when an answer is chosen.
    await root.locator("input[name=choice][value=refuse]").check();
    const reasons = root.locator("select[name=reason]");
    await reasons.selectOption({ index: 1 });
    const chosen = await reasons.inputValue();
    assert.equal(await root.locator(".letter:visible").count(), 1, "one text for the customer");
    assert.equal(await root.locator(".letter:visible").getAttribute("data-text-of"), chosen);
    await root.locator("textarea[name=note]").fill("not the person in the picture on file");
    const [row, bar] = await Promise.all([root.locator("tr.asks").boundingBox(), root.locator(".decide").boundingBox()]);
    assert.ok(row.y + row.height <= bar.y, `the row that asks ends at ${row.y + row.height}, the bar begins at ${bar.y}`);
    await picture(root, "review");
    await accessible(root, "a claimed review");
    // Behind the mask, once.
    await root.locator("input[name=choice][value=approve]").check();
    await root.locator("textarea[name=note]").fill("same person, older picture");
    await root.locator("button[name=reveal]").first().click();
    await root.locator("input[name=seen_for]").fill("the picture has to be compared");
    // Enter means the act that its field belongs to, and not the decision.
    await root.keyboard.press("Enter");
    await root.locator(".seen").waitFor();
    await root.locator("textarea[name='said.note']").fill("compared with the picture on file");
    await root.keyboard.press("Control+Enter");
    await root.getByText("Noted in the ledger.").waitFor();
    // What was chosen and written is still there.
    assert.equal(await root.locator("input[value=approve]").isChecked(), true);
    assert.equal(await root.locator("textarea[name=note]").inputValue(), "same person, older picture");
    await root.locator("main h1").click();
    await root.keyboard.press("n");
    assert.equal(await root.evaluate(() => document.activeElement.value), "next", "what is begun is not left behind by a key");
    await root.locator("button[name=then][value=stay]").click();
    // A moment to take it back; nothing has happened until then.
    await root.getByText("You decided: Approve.").waitFor();
    await accessible(root, "a decision that can be taken back");
    await root.locator("[data-undo]").click();
    await root.getByText("Taken back: nothing has happened.").waitFor();
    assert.equal(await root.getByText("Decided: Approve by root").count(), 0);
    // Put aside, and taken up again from its tab.
    const here = root.url().split("?")[0];
    await root.locator("[data-snooze] summary").click();
    await root.locator("[data-snooze] select[name=for]").selectOption("4h");
    await root.locator("[data-snooze] input[name='said.snooze']").fill("the branch opens at nine");
    await root.locator("[data-snooze] button").click();
    await root.getByText("Put aside. It comes back at its time").waitFor();
    await root.getByText("root put it aside until").waitFor();
    await goto(root, "/console/reviews?tab=snoozed");
    await picture(root, "snoozed");
    await accessible(root, "what is put aside");
    await root.locator("a.go").first().click();
    await root.waitForURL(`${here}?tab=snoozed`);
    await root.getByRole("button", { name: "Take it up again" }).click();
    await root.getByText("Taken up again.").waitFor();
    await root.locator("[data-claim]").click();
    await root.getByText("You work on this until").waitFor();
    await root.locator("input[name=choice][value=approve]").check();
    await root.locator("textarea[name=note]").last().fill("same person, older picture");
    await root.locator("button[name=then][value=stay]").click();
    await effective(root, "Decided: Approve by root");
    quiet(root);
  });

  await step("another one, by keyboard only", async () => {
    await goto(li, "/console/reviews?tab=unassigned");
    const before = await li.locator("tr.link").count();
    assert.ok(before > 0, "something waits");
    await li.keyboard.press("j");
    assert.equal(await li.evaluate(() => document.activeElement.classList.contains("go")), true);
    await li.keyboard.press("Enter");
    await li.waitForURL(/\/console\/reviews\/[0-9a-f-]{36}(\?|$)/);
    await li.keyboard.press("c");
    await li.getByText("You work on this until").waitFor();
    await li.keyboard.press("a");
    assert.equal(await li.evaluate(() => document.activeElement.name), "note", "the note is next");
    assert.equal(await li.evaluate(() => scrollY), 0, "the evidence stays in sight");
    // Keys are letters in a field.
    await li.keyboard.type("same person, as a colleague can confirm");
    assert.equal(await li.locator("input[value=approve]").isChecked(), true);
    await li.keyboard.press("Control+Enter");
    await li.getByText("It takes effect in a few seconds.").waitFor();
    // Taken back by its key, and put aside by another one.
    await li.keyboard.press("z");
    await li.getByText("Taken back: nothing has happened.").waitFor();
    await li.keyboard.press("s");
    assert.equal(await li.evaluate(() => document.activeElement.closest("[data-snooze]") !== null), true, "why is next");
    await li.keyboard.type("she sends a new picture soon");
    await li.keyboard.press("Enter");
    await li.getByText("li put it aside until").waitFor();
    // The address before may be the same already: what counts is that it goes there.
    const gone = li.waitForEvent("framenavigated");
    await li.keyboard.press("g");
    await li.keyboard.press("i");
    await gone;
    await li.waitForLoadState();
    assert.match(li.url(), /\/console\/reviews(\?|$)/);
    await li.keyboard.press("?");
    await li.waitForURL(/\/console\/help/);
    await li.keyboard.press("/");
    assert.equal(await li.evaluate(() => document.activeElement.name ?? ""), "q");
    quiet(li);
  });

  await step("side by side on a wide screen, by keyboard, and who else looks", async () => {
    await root.setViewportSize({ width: 1680, height: 1000 });
    await goto(root, "/console/reviews?tab=unassigned");
    await root.keyboard.press("j");
    await root.keyboard.press("Enter");
    await root.waitForURL(/\/console\/reviews\/[0-9a-f-]{36}\?tab=unassigned$/);
    const list = root.locator("nav.picks");
    assert.equal(await list.isVisible(), true);
    assert.equal(await list.locator("[aria-current]").getAttribute("href"), new URL(root.url()).pathname + "?tab=unassigned");
    // The keys go on from where one is.
    const first = root.url();
    await root.keyboard.press("j");
    assert.equal(await list.locator("a.go").nth(1).evaluate((link) => link === document.activeElement), true);
    await root.keyboard.press("Enter");
    await root.waitForURL((url) => url.href !== first && url.search === "?tab=unassigned");
    // Somebody else has it open: they are told at once, and who came first by the part that asks for itself.
    await goto(wang, new URL(root.url()).pathname);
    await wang.getByText("root is looking at this").waitFor();
    assert.equal(await wang.locator("nav.picks").count(), 0, "not from a list");
    await root.getByText("wang is looking at this").first().waitFor({ timeout: 40_000 });
    await goto(root, new URL(root.url()).pathname + "?tab=unassigned");
    await list.locator("[aria-current]", { hasText: "wang is looking at this" }).waitFor();
    const [listed, shown] = await Promise.all([list.boundingBox(), root.locator(".question").boundingBox()]);
    assert.equal(listed.y, shown.y, "the list and the review begin on one line");
    await fits(root, "side by side");
    await picture(root, "beside");
    await accessible(root, "side by side");
    await set(root, "theme", "dark");
    await set(root, "lang", "zh-CN");
    await picture(root, "beside-dark-zh-CN");
    await accessible(root, "side by side (dark, zh-CN)");
    await set(root, "theme", "light");
    await set(root, "lang", "en");
    // What is done leads back to where one is.
    await root.locator("[data-claim]").click();
    await root.getByText("You work on this until").waitFor();
    await accessible(root, "side by side, claimed");
    assert.equal(new URL(root.url()).search, "?tab=unassigned");
    await root.getByRole("button", { name: "Give back" }).click();
    await root.getByText("Given back.").waitFor();
    assert.equal(new URL(root.url()).search, "?tab=unassigned");
    await goto(wang, "/console/reviews?tab=team");
    assert.ok((await wang.getByText("root is looking at this").count()) > 0, "the inbox says it, too");
    // On a smaller screen a review is a page of its own.
    await root.setViewportSize({ width: 1360, height: 900 });
    assert.equal(await list.isVisible(), false);
    quiet(root);
    quiet(wang);
  });

  await following({ root, wang });

  await step("a lost connection is said", async () => {
    await goto(li, "/console/reviews?tab=team");
    await li.locator("[data-live-button][data-state=live]").waitFor();
    await li.context().setOffline(true);
    await li.locator("[data-live-button][data-state=lost]").waitFor();
    assert.match(await li.locator("[data-live-said]").textContent(), /no connection/);
    await accessible(li, "a page without a connection");
    await li.context().setOffline(false);
    await li.locator("[data-live-button][data-state=live]").waitFor();
    // What was asked for when the connection went is what a page cannot have.
    li.complaints = li.complaints.filter((text) => !/ERR_INTERNET_DISCONNECTED|ERR_NETWORK|Failed to fetch/.test(text));
    quiet(li);
  });

  await step("keys are off where somebody wants them off", async () => {
    await goto(li, "/console/reviews");
    await set(li, "keys", "off");
    const at = li.url();
    await li.keyboard.press("?");
    await li.keyboard.press("j");
    assert.equal(li.url(), at);
    assert.equal(await li.evaluate(() => document.activeElement.tagName), "BODY");
    await set(li, "keys", "on");
  });

  await step("four eyes", async () => {
    await goto(wang, "/console/reviews?tab=team");
    const row = wang.locator("tr.link", { hasText: "four eyes" }).first();
    const href = await row.locator("a.go").getAttribute("href");
    for (const [page, says] of [[wang, "You have decided first."], [root, "Decided: Approve by wang and root"]]) {
      await goto(page, href);
      await page.locator("[data-claim]").click();
      await page.locator("input[name=choice][value=approve]").check();
      await page.locator("textarea[name=note]").last().fill("agreed");
      await page.locator("button[name=then][value=stay]").click();
      await effective(page, says);
    }
    quiet(wang);
  });

  await step("two at once: the second sees the difference", async () => {
    await goto(root, "/console/reviews?tab=unassigned");
    const href = await root.locator("tr.link:not(:has(.chip)) a.go").last().getAttribute("href");
    await goto(root, href);
    await root.locator("[data-claim]").click();
    await root.locator("input[name=choice]").first().check();
    await root.locator("textarea[name=note]").last().fill("Both offices have the new certificate on file.");
    await goto(wang, href);
    await wang.locator("input[name='said.claim']").fill("root has left for today");
    await wang.getByRole("button", { name: "Take over" }).click();
    await wang.getByText("You work on this until").waitFor();
    // Whoever held it sees that on the open page, and keeps what they wrote.
    await root.locator("[data-lost-claim]:not([hidden])").waitFor();
    assert.equal(await root.locator("textarea[name=note]").inputValue(), "Both offices have the new certificate on file.");
    await accessible(root, "a claim that was taken over");
    await root.locator("button[name=then][value=stay]").click();
    await root.getByText("This has changed since you looked").waitFor();
    await picture(root, "stale");
    await accessible(root, "a stale decision");
    await wang.getByRole("button", { name: "Give back" }).click();
    await wang.waitForLoadState();
  });

  await step("an operator's incident", async () => {
    await goto(ops, "/console/overview");
    await ops.locator(".notice.wait a", { hasText: "defect" }).first().click();
    await ops.waitForURL(/\/console\/defects\//);
    await picture(ops, "defect");
    await accessible(ops, "a defect");
    await ops.locator("a.go").first().click();
    await ops.waitForURL(/\/console\/requests\//);
    await ops.getByText("Parked under").first().waitFor();
    await picture(ops, "request");
    await ops.goBack();
    // The fix: the sandbox keeps to its contract again.
    const lifted = await fetch(`${process.env.SANDBOX_URL}/sandbox/faults`, { method: "DELETE" });
    assert.ok(lifted.ok);
    await ops.locator("input[name=rate]").fill("5");
    await ops.locator("button.primary", { hasText: "Resume" }).click();
    await ops.getByText("Resuming: one request goes first.").waitFor();
    for (let tries = 0; tries < 60; tries++) {
      if (await ops.getByText("Nothing is parked under it.").count()) break;
      await ops.waitForTimeout(500);
      await ops.reload();
    }
    await ops.getByText("Nothing is parked under it.").waitFor();
    quiet(ops);
  });

  await step("a dependency is stopped and let through", async () => {
    await goto(ops, "/console/dependencies");
    const card = ops.locator("section.card", { hasText: "face" }).first();
    await card.locator("summary").click();
    await card.locator("input[name=reason]").fill("maintenance");
    await card.locator("button.danger").click();
    await ops.getByText("Stopped. Requests that need it are parked.").waitFor();
    await picture(ops, "dependencies");
    const again = ops.locator("section.card", { hasText: "maintenance" }).first();
    await again.locator("summary").click();
    await again.locator("input[name=reason]").fill("over");
    await again.locator("button.primary").click();
    await ops.getByText("Let through again. What is parked").waitFor();
    quiet(ops);
  });

  await step("live: what comes in shows up by itself, and can be paused", async () => {
    await goto(root, "/console/requests?q=state%3Awithdrawn");
    const before = await root.locator("tr.link").count();
    const open = await root.context().newPage();
    await goto(open, "/console/requests?q=state%3Ain_review");
    await open.locator("a.go").first().click();
    await open.locator("summary", { hasText: "Withdraw" }).click();
    await open.locator("button.danger").click();
    await open.getByText("Withdrawn.").waitFor();
    await open.close();
    await root.waitForFunction((count) => document.querySelectorAll("tr.link").length === count, before + 1);
    await root.locator("[data-live-button]").click();
    await root.getByText("Paused").first().waitFor();
    await root.locator("[data-live-button]").click();
    quiet(root);
  });

  const first = async (page, list) => {
    await goto(page, list);
    return page.locator("a.go").first().getAttribute("href");
  };
  await step("every page: accessible and in bounds, light and dark, English and Chinese", async () => {
    const pages = [
      "/console/reviews/views", "/console/reviews/batches", "/console/overview", "/console/reviews?tab=team", await first(root, "/console/reviews?tab=team"), "/console/requests",
      await first(root, "/console/requests"), "/console/defects", await first(root, "/console/defects"), "/console/dependencies",
      "/console/workers", "/console/processes", "/console/processes/card_unbind", "/console/decisions",
      "/console/decisions?tab=looks", "/console/decisions?tab=acts", "/console/ledger?verify=newest", "/console/help",
    ];
    for (const [theme, lang] of [["light", "en"], ["dark", "zh-CN"]]) {
      await set(root, "theme", theme);
      await set(root, "lang", lang);
      for (const path of pages) {
        await goto(root, path);
        await accessible(root, `${path} (${theme}, ${lang})`);
        await fits(root, path);
        const name = { "/console/processes/card_unbind": "process", "/console/decisions": "decisions", "/console/ledger?verify=newest": "ledger" }[path];
        if (name && theme === "light") await picture(root, name);
      }
      const none = await root.goto(`${base}/console/nowhere`);
      assert.equal(none.status(), 404);
      await accessible(root, `a page that is not there (${theme})`);
    }
    // One that nobody has touched yet.
    const fresh = await first(root, "/console/reviews?tab=unassigned");
    await goto(root, "/console/overview?within=15m");
    await picture(root, "overview-dark-zh-CN");
    await goto(root, fresh);
    await picture(root, "review-dark-zh-CN");
    await root.setViewportSize({ width: 390, height: 844 });
    for (const path of pages) {
      await goto(root, path);
      await fits(root, `${path} on a phone`);
    }
    await goto(root, fresh);
    await picture(root, "phone");
    await root.setViewportSize({ width: 1360, height: 900 });
    root.complaints = root.complaints.filter((text) => !text.includes("404"));
    quiet(root);
  });

  await step("without scripts", async () => {
    const plain = await person(browser, "plain", ["admin"], { javaScriptEnabled: false });
    await goto(plain, "/console/reviews?tab=unassigned");
    await plain.locator("[data-next]").click();
    await plain.waitForURL(/\/console\/reviews\/[0-9a-f-]{36}(\?|$)/);
    await plain.locator("input[name=choice]").first().check();
    assert.ok((await plain.locator(".for:visible").count()) > 0, "what follows is shown without a script");
    await plain.locator("textarea[name=note]").last().fill("no scripts needed");
    await plain.locator("textarea[name='said.note']").fill("a note beside it");
    await plain.getByRole("button", { name: "Add a note" }).click();
    await plain.getByText("Noted in the ledger.").waitFor();
    assert.equal(await plain.locator("textarea[name=note]").inputValue(), "no scripts needed");
    await plain.locator("button[name=then][value=stay]").click();
    await plain.locator(".notice").first().waitFor();
    await plain.locator("details.menu > summary").click();
    await plain.locator("button[name=theme][value=dark]").click();
    await plain.locator("html[data-theme=dark]").waitFor();
    await plain.locator("details.menu > summary").click();
    await plain.getByRole("button", { name: "Sign out" }).click();
    await plain.waitForURL(/sign-in/);
    await plain.setViewportSize({ width: 860, height: 540 });
    await picture(plain, "sign-in");
  });
} finally {
  await browser.close();
}
