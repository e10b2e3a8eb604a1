/** Where the browser itself stands, and not a wrapper of it that reads settings and adds switches; then the names under which it is installed. */
export const chromiumPlaces = [
  "/usr/lib/chromium/chromium",
  "/usr/lib/chromium-browser/chromium-browser",
  "/opt/google/chrome/chrome",
] as const;
export const chromiumNames = [
  "chromium",
  "chromium-browser",
  "google-chrome",
  "google-chrome-stable",
  "chrome-headless-shell",
] as const;

/** For both places: no window, nothing that calls home, no helper that outlives it, nothing kept. */
export const chromiumArguments: readonly string[] = [
  "--headless",
  "--no-first-run",
  "--no-default-browser-check",
  "--no-startup-window",
  "--disable-gpu",
  "--disable-dev-shm-usage",
  "--disable-breakpad",
  // A page behind another one goes on, or a question to it would wait for ever.
  "--disable-background-timer-throttling",
  "--disable-backgrounding-occluded-windows",
  "--disable-renderer-backgrounding",
  "--disable-hang-monitor",
  "--disable-ipc-flooding-protection",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-client-side-phishing-detection",
  "--disable-default-apps",
  "--disable-domain-reliability",
  "--disable-extensions",
  "--disable-sync",
  "--disable-features=Translate,OptimizationHints,MediaRouter,InterestFeedContentSuggestions,AutofillServerCommunication",
  "--metrics-recording-only",
  "--mute-audio",
  "--no-pings",
  "--password-store=basic",
  "--use-mock-keychain",
  "--hide-scrollbars",
  "--force-color-profile=srgb",
  "--disk-cache-size=33554432",
];

/**
 * For a browser beside our own network: everything goes through the proxy or nowhere. Loopback too (`<-loopback>` takes it off the list of what
 * goes directly); names are resolved by the proxy and by nobody else; nothing that speaks UDP.
 */
export const proxiedArguments = (proxy: string): string[] => [
  `--proxy-server=${proxy}`,
  "--proxy-bypass-list=<-loopback>",
  "--host-resolver-rules=MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
  "--dns-prefetch-disable",
  "--disable-quic",
  // Its name before and after it was changed: the wrong one is ignored.
  "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
  "--webrtc-ip-handling-policy=disable_non_proxied_udp",
];
