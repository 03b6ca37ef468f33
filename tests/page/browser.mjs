// Looks at the page at a URL as people do: in light and dark, on a wide screen and on a phone,
// with scripts and without. Says what is wrong and exits with 1, or prints what it did.
//
//   node browser.mjs DIRECTORY-OF-PACKAGES SCENE URL DIRECTORY-FOR-PICTURES
//
// The scene `healthy` also watches the page change. For that it prints `rotate` and `stop` and
// relies on whoever started it to rotate a key then, and to stop the daemon.
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import path from "node:path";
import process from "node:process";

const [packages, scene, url, pictures] = process.argv.slice(2);
const require = createRequire(path.join(packages, "package.json"));
const { chromium } = require("playwright-core");
const axe = await readFile(require.resolve("axe-core/axe.min.js"), "utf8");

const LONG = 60_000;
const WIDE = { width: 1280, height: 900 };
const PHONE = { width: 360, height: 1100 };

const wrong = [];
const expect = (holds, what) => {
  if (!holds) wrong.push(what);
};

// Without these it asks the network for updates of its own.
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--force-color-profile=srgb",
  ],
});

// A page that notes every request to somewhere else and everything in the console.
const open = async (options) => {
  const context = await browser.newContext({ reducedMotion: "reduce", ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(LONG);
  const noted = [];
  page.on("console", (message) => noted.push(`console: ${message.text()}`));
  page.on("pageerror", (error) => noted.push(`error: ${error.message}`));
  page.on("request", (request) => {
    const asked = request.url();
    if (asked !== url && !asked.startsWith("data:")) noted.push(`request: ${asked}`);
  });
  const answer = await page.goto(url);
  expect(answer.status() === 200, `the page answers ${answer.status()}`);
  return { page, noted, close: () => context.close() };
};

const accessible = async (page, where) => {
  // Into the debugger's world: the page's own policy lets no script of others in.
  await page.evaluate(axe);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  for (const { id, help, nodes } of found.violations) {
    const places = nodes.map((node) => `${node.target}: ${node.failureSummary}`);
    wrong.push(`${where}: ${id}: ${help}\n${places.join("\n")}`);
  }
  return found.passes.length;
};

// In every dress it is accessible, no wider than the screen, and asks for nothing.
for (const colorScheme of ["light", "dark"]) {
  for (const [device, viewport] of Object.entries({ wide: WIDE, phone: PHONE })) {
    const where = `${scene}, ${colorScheme}, ${device}`;
    const { page, noted, close } = await open({ colorScheme, viewport });
    const passed = await accessible(page, where);
    expect(passed > 15, `${where}: axe had only ${passed} rules to apply`);
    const width = await page.evaluate(() => document.documentElement.scrollWidth);
    expect(width <= viewport.width, `${where}: ${width} pixels wide`);
    expect((await page.locator("table.keys tbody").count()) > 3, `${where}: too few keys`);
    await page.screenshot({
      path: path.join(pictures, `${scene}-${colorScheme}-${device}.png`),
      clip: { x: 0, y: 0, ...viewport },
      fullPage: true,
    });
    expect(noted.length === 0, `${where}: ${noted.join("; ")}`);
    await close();
    console.log(`${where}: ${passed} rules of axe hold`);
  }
}

// Without scripts it says the same, and the browser is told to load it anew.
{
  const { page, noted, close } = await open({ javaScriptEnabled: false, viewport: WIDE });
  const heading = await page.locator("h1").textContent();
  expect(heading.includes("key"), `without scripts the heading is ${heading}`);
  const reload = await page.locator('meta[http-equiv="refresh"]').count();
  expect(reload === 1, "without scripts nothing brings it up to date");
  const states = await page.locator("table.keys .badge").allTextContents();
  expect(states.length > 3, `without scripts the states are ${states}`);
  await page.getByRole("link", { name: /^In sync/ }).click();
  await page.waitForURL(/state=in_sync/);
  const shown = await page.locator("table.keys .badge").allTextContents();
  expect(shown.length > 0 && shown.every((state) => state === "In sync"), `filtered: ${shown}`);
  await page.getByRole("link", { name: "Stop refreshing" }).click();
  await page.waitForURL(/refresh=off/);
  expect((await page.locator('meta[http-equiv="refresh"]').count()) === 0, "it refreshes on");
  // The links lead to the page itself, with a query.
  const elsewhere = noted.filter((line) => !line.startsWith(`request: ${url}?`));
  expect(elsewhere.length === 0, elsewhere.join("; "));
  await close();
  console.log(`${scene}: without scripts: ${heading}`);
}

// However long versions are (those of AWS are UUIDs), no name of a key in the history is broken, and
// nothing stands out of the table.
{
  const { page, close } = await open({ viewport: WIDE });
  const found = await page.evaluate(() => {
    for (const version of document.querySelectorAll(".events .version")) {
      version.textContent = "00048d15-9e26-af37-bc04-8d159e26af34";
    }
    const lines = [...document.querySelectorAll(".events .id")].map((id) => id.getClientRects().length);
    const table = document.querySelector("table.events");
    return { lines, out: table.scrollWidth - table.parentElement.clientWidth };
  });
  expect(found.lines.length > 3, `only ${found.lines.length} rows of history`);
  expect(found.lines.every((lines) => lines === 1), `names of keys take ${found.lines} lines`);
  expect(found.out <= 0, `the history stands out by ${found.out} pixels`);
  await close();
}

// It can be read by its structure alone, and printed.
{
  const { page, close } = await open({ viewport: WIDE });
  for (const role of ["banner", "main", "contentinfo", "navigation"]) {
    expect((await page.getByRole(role).count()) === 1, `not one landmark ${role}`);
  }
  const table = page.getByRole("table", { name: "Keys", exact: true });
  const rows = await table.getByRole("rowheader").count();
  expect(rows > 3, `${rows} row headers`);
  const days = await table.getByRole("img", { name: /^Last 24 hours: / }).count();
  expect(days === rows, `${days} of ${rows} days are told in words`);
  const printed = await page.pdf({ format: "A4" });
  expect(printed.length > 1_000, "nothing is printed");
  await close();
}

// It changes in place: what is read, typed and scrolled to stays.
if (scene === "healthy") {
  const { page, noted, close } = await open({ viewport: { width: 1280, height: 400 } });
  await page.evaluate(() => {
    globalThis.sameDocument = true;
    document.querySelector("footer a").focus({ preventScroll: true });
    scrollTo(0, 300);
  });
  const events = page.locator("table.events tbody tr");
  const before = await events.count();
  console.log("rotate");
  await page.waitForFunction(
    (before) => document.querySelectorAll("table.events tbody tr").length > before,
    before,
    { timeout: LONG },
  );
  const kept = await page.evaluate(() => ({
    document: globalThis.sameDocument === true,
    focus: document.activeElement === document.querySelector("footer a"),
    scroll: scrollY,
  }));
  expect(kept.document && kept.focus && kept.scroll === 300, `kept ${JSON.stringify(kept)}`);
  expect(noted.length === 0, noted.join("; "));
  console.log("stop");
  await page.locator("#silence").waitFor({ state: "visible", timeout: LONG });
  console.log(`${scene}: it changes in place, and says when it is cut off`);
  await close();
}

await browser.close();
for (const line of wrong) console.error(`${scene}: ${line}`);
process.exit(wrong.length === 0 ? 0 : 1);
