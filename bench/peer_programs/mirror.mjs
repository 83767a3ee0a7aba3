// What every Node peer does with a frame: parse it, compare each leg with its last state, and make
// one flat record of what changed. A short, honest version of what teams write by hand: no ids that
// repeat, no history of legs first seen late, no memory bound, nothing kept when Kafka is away.

import { readFileSync } from 'node:fs';

const MEDIA = [
  'calls', 'callbacks', 'chats', 'emails', 'messages', 'videos', 'screenshares', 'cobrowsesessions',
  'socialExpressions', 'internalMessages', 'screenmonitorings',
];

/** What bench.parts.contenders says of a run: uri, frames, kafka, topic, ca. */
export const task = JSON.parse(process.env.BENCH_TASK);
export const socketOptions = task.ca ? { ca: readFileSync(task.ca) } : {};

export class Mirror {
  #legs = new Map();

  /** The records that a frame causes: [key, value] each. */
  records(text) {
    const { topicName, eventBody: body } = JSON.parse(text);
    const found = [];
    if (!topicName || topicName === 'channel.metadata') return found;
    for (const participant of body.participants ?? []) {
      for (const media of MEDIA) {
        for (const leg of participant[media] ?? []) {
          const last = this.#legs.get(leg.id) ?? { held: false };
          const now = {
            state: leg.state,
            held: leg.held ?? false,
            acw: participant.startAcwTime,
            wrapup: participant.wrapup?.code,
          };
          for (const what of ['state', 'held', 'acw', 'wrapup']) {
            if (now[what] === undefined || now[what] === last[what]) continue;
            found.push([body.id, JSON.stringify({
              conversationId: body.id,
              participantId: participant.id,
              communicationId: leg.id,
              purpose: participant.purpose,
              userId: participant.userId ?? null,
              queueId: participant.queueId ?? null,
              mediaType: media,
              direction: leg.direction,
              change: what,
              state: leg.state,
              held: now.held,
              disconnectType: leg.disconnectType ?? null,
              wrapupCode: now.wrapup ?? null,
              connectedTime: leg.connectedTime ?? null,
              disconnectedTime: leg.disconnectedTime ?? null,
              topic: topicName,
              receivedAt: new Date().toISOString(),
            })]);
          }
          this.#legs.set(leg.id, now);
        }
      }
    }
    return found;
  }
}

/** Counts wall and CPU time from its making, and ends the process with what they came to. */
export class Watch {
  #startedAt = performance.now();
  #startedCpu = process.cpuUsage();

  report(frames, records) {
    const cpu = process.cpuUsage(this.#startedCpu);
    console.log(JSON.stringify({
      frames,
      seconds: (performance.now() - this.#startedAt) / 1000,
      cpu: (cpu.user + cpu.system) / 1e6,
      records,
      peak_mb: process.resourceUsage().maxRSS / 1024,
      rss_mb: process.memoryUsage.rss() / 2 ** 20,
    }));
    process.exit(0);
  }
}
