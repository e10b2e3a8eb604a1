import { randomUUID } from "node:crypto";
import type { Logger } from "@cortex/observability";

/** What a mail is about; also the `type` that its link and `verifyOtp` take. */
export type MailType = "signup" | "magiclink" | "recovery" | "email_change";

export interface Mail {
  id: string;
  to: string;
  type: MailType;
  subject: string;
  /** Six digits. */
  code: string;
  /** Opens a session (or confirms) and leads to the site. */
  link: string;
  sent_at: string;
}

/** Where mails go on one machine: to the log, and to a page that only this machine can read. Nothing is delivered. */
export interface Outbox {
  send(mail: Pick<Mail, "to" | "type" | "code" | "link">): void;
  /** Newest first; of one recipient, if given. */
  list(to: string | null): Mail[];
}

/** Mails kept; older ones are forgotten. */
const CAPACITY = 200;

const SUBJECTS: Record<MailType, string> = {
  signup: "Confirm your sign-up",
  magiclink: "Your sign-in code",
  recovery: "Reset your password",
  email_change: "Confirm your new e-mail address",
};

export function createOutbox(log: Logger): Outbox {
  const mails: Mail[] = [];
  return {
    send({ to, type, code, link }) {
      const mail = {
        id: randomUUID(),
        to,
        type,
        subject: SUBJECTS[type],
        code,
        link,
        sent_at: new Date().toISOString(),
      };
      mails.unshift(mail);
      mails.length = Math.min(mails.length, CAPACITY);
      log.info({ to, type, code, link }, "mail not delivered but kept in the outbox");
    },
    list: (to) => (to === null ? [...mails] : mails.filter((mail) => mail.to === to)),
  };
}
