// What every Node peer does with a frame: parse it, compare each leg with its last state, and make
// one flat record of what changed. A short, honest version of what teams write by hand: no ids that
// repeat, no history of legs first seen late, no memory bound, nothing kept when Kafka is away.

const MEDIA = ['calls', 'callbacks', 'chats', 'emails', 'messages'];

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
          const last = this.#legs.get(leg.id) ?? {};
          const now = {
            state: leg.state,
            held: leg.held ?? false,
            acw: participant.startAcwTime,
            wrapup: participant.wrapup?.code,
          };
          for (const what of ['state', 'held', 'acw', 'wrapup']) {
            if (now[what] === undefined || now[what] === (last[what] ?? (what === 'held' ? false : undefined))) continue;
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

/** Prints what the run cost, as bench.peers reads it, and ends the process. */
export function report(frames, records, startedAt, startedCpu) {
  const cpu = process.cpuUsage(startedCpu);
  console.log(JSON.stringify({
    frames,
    records,
    wall: (performance.now() - startedAt) / 1000,
    cpu: (cpu.user + cpu.system) / 1e6,
    rss: process.resourceUsage().maxRSS * 1024,
  }));
  process.exit(0);
}
