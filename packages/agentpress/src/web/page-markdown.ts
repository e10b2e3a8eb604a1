import { Readability } from "@mozilla/readability";
import { parseHTML } from "linkedom";
import { markdownOf } from "./markdown.ts";

export interface PageText {
  /** Empty: it has none. */
  title: string;
  markdown: string;
}

/** What nobody reads. */
const noise = "title, script, style, noscript, template, iframe, object, embed, svg, canvas, link, meta";
/** What surrounds the content, where nothing better than the whole body was found. */
const surroundings = "nav, footer, aside, form, [aria-hidden='true'], [hidden]";

/** An article that is a smaller part of the page's text than this is not what the page is about: an index, a forum, a table of prices. */
const minArticleShare = 0.3;

/** The search for the article compares parts of the page with one another; beyond this size it takes longer than the page is worth. */
const maxArticleNodes = 100_000;
const maxArticleDepth = 150;

/** Is this a tree of an everyday size? */
const isModest = (root: Node): boolean => {
  let nodes = 0;
  let depth = 0;
  let at: Node | null = root;
  while (at) {
    if ((nodes += 1) > maxArticleNodes || depth > maxArticleDepth) return false;
    let next: Node | null = at.firstChild;
    if (next) depth += 1;
    else {
      next = at.nextSibling;
      while (!next && at.parentNode && at !== root) {
        at = at.parentNode;
        depth -= 1;
        if (at === root) return true;
        next = at.nextSibling;
      }
    }
    at = next;
  }
  return true;
};

/** Addresses for the model to follow: absolute ones of the web. Others keep their text. */
const absolute = (href: string | null, base: string): string | null => {
  if (href === null || href.startsWith("#") || !URL.canParse(href, base)) return null;
  const url = new URL(href, base);
  return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
};

/** Tags that every page has once and many have wrongly or not at all: the parser takes them as they come, so they are put there anew. */
const frame = /<!doctype[^>]{0,500}>|<\/?(?:html|head|body)(?:\s[^>]{0,5000})?>/gi;

const parse = (html: string): Document =>
  parseHTML(`<!doctype html><html><head></head><body>${html.replaceAll(frame, "")}</body></html>`).document;

/**
 * What people read on a page, as markdown with absolute links.
 * @param page.url where it came from
 * @throws RangeError for elements nested deeper than the stack; give it a thread and a time limit if a stranger wrote the page
 */
export const pageMarkdown = ({ html, url }: { html: string; url: string }): PageText => {
  const read = () => {
    const document = parse(html);
    const title = (document.querySelector("title")?.textContent ?? "").replaceAll(/\s+/g, " ").trim();
    const base = absolute(document.querySelector("base")?.getAttribute("href") ?? null, url) ?? url;
    for (const element of document.querySelectorAll(noise)) element.remove();
    for (const link of document.querySelectorAll("a[href]")) {
      const href = absolute(link.getAttribute("href"), base);
      if (href === null) link.removeAttribute("href");
      else link.setAttribute("href", href);
    }
    return { document, title };
  };
  const { document, title } = read();
  const whole = (document.body.textContent ?? "").trim().length;
  if (isModest(document.body)) {
    const article = new Readability<Element>(document, { serializer: (element) => element as Element }).parse();
    if (article?.content && (article.textContent ?? "").trim().length >= whole * minArticleShare)
      return { title, markdown: markdownOf(article.content) };
  }
  const { body } = read().document;
  for (const element of body.querySelectorAll(surroundings)) element.remove();
  return { title, markdown: markdownOf(body) };
};
