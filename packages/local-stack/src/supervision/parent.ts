/** npm ends with SIGKILL at worst; half a second later nobody waits for us any more. */
const INTERVAL_MS = 500;

/**
 * Calls back once when the process that started us is gone. npm passes on the signals that it gets, but a kill -9 of npm
 * would leave the stack to nobody: then we are handed to another parent, which is what this looks for.
 */
export function whenParentEnds(callback: () => void): void {
  const parent = process.ppid;
  const timer = setInterval(() => {
    if (process.ppid === parent) return;
    clearInterval(timer);
    callback();
  }, INTERVAL_MS);
  timer.unref();
}
