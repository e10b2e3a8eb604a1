/** Waits for a promise to fail and says how, as `<code>: <message>` (the code only where the error has one). */
export async function refusalOf(attempt: Promise<unknown>): Promise<string> {
  try {
    await attempt;
  } catch (error) {
    if (!(error instanceof Error)) return String(error);
    return "code" in error ? `${String(error.code)}: ${error.message}` : error.message;
  }
  throw new Error("it was not refused");
}
