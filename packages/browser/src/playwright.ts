/** Loaded when the first browser is: it is large, and most runs need none. Nothing of it is ever downloaded or installed. */
export const loadPlaywright = async () => import("playwright-core");
