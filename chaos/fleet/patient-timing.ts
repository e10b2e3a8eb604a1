/** A client that outlasts every outage that is injected, and comes back soon: waiting politely would only hide what is looked for. */
export const patientTiming = {
  answerMs: 10_000,
  tries: 60,
  retryMs: 50,
  longestRetryMs: 1_000,
  reconnectMs: 50,
  longestReconnectMs: 1_000,
};
