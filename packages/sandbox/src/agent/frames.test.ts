import fc from "fast-check";
import { expect, test } from "vitest";
import {
  creditFrame,
  dataFrame,
  emptyFrame,
  type Frame,
  FrameReader,
  FrameType,
  jsonFrame,
  readCredit,
  readData,
  readJson,
} from "./frames.ts";

const readAll = (chunks: Uint8Array[]): Frame[] => {
  const reader = new FrameReader();
  return chunks.flatMap((chunk) =>
    [...reader.push(chunk)].map((frame) => ({ ...frame, payload: Uint8Array.from(frame.payload) })),
  );
};

test("frames come out as they went in, however the stream is cut", () => {
  const data = fc.uint8Array({ maxLength: 300 });
  const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 50 });
  fc.assert(
    fc.property(fc.array(data, { maxLength: 10 }), sizes, (payloads, cuts) => {
      const stream = Buffer.concat(payloads.map((payload, index) => dataFrame(index, index % 6, payload)));
      const chunks: Uint8Array[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn++) {
        const size = cuts[turn % cuts.length] ?? 1;
        chunks.push(stream.subarray(at, at + size));
        at += size;
      }
      const frames = readAll(chunks);
      expect(frames.map((frame) => frame.call)).toEqual(payloads.map((_, index) => index));
      expect(frames.map((frame) => readData(frame.payload))).toEqual(
        payloads.map((payload, index) => ({ channel: index % 6, data: payload })),
      );
    }),
  );
});

test("each kind of frame is read as it was written", () => {
  const [request, end, credit] = readAll([
    Buffer.concat([
      jsonFrame(FrameType.request, 7, { op: "list", args: { path: "ü" } }),
      emptyFrame(FrameType.end, 7),
      creditFrame(4_294_967_295, 65_536),
    ]),
  ]);
  expect(request && readJson(request.payload)).toEqual({ op: "list", args: { path: "ü" } });
  expect(end).toMatchObject({ type: FrameType.end, call: 7 });
  expect(credit && [credit.call, readCredit(credit.payload)]).toEqual([4_294_967_295, 65_536]);
});

test("an impossible length is an error before it is an allocation", () => {
  const header = Buffer.alloc(9);
  header.writeUInt32BE(0xffff_ffff);
  expect(() => readAll([header])).toThrow("a frame of 4294967295 bytes");
  expect(() => readCredit(new Uint8Array(3))).toThrow("wrong length");
  expect(() => readData(new Uint8Array(0))).toThrow("without a channel");
});
