import type { Ask, AskAnswer, HeldSlot, QuotaLedger, QuotaNote, QuotaRules, QuotaState } from './quota.ts';

/** Times of freed slots that the mean is taken of. */
const FREED_KEPT = 16;

/** Places of a session that are remembered when it has left them. */
const FORMER_KEPT = 4;

/** 0: it brings a slot; 1: it goes on; 2: it is new. */
type Rank = 0 | 1 | 2;
const RANKS: readonly Rank[] = [0, 1, 2];

interface Slot {
  readonly entry: string;
  /** Undefined while it cools down: it is nobody's then. */
  readonly tenant: string | undefined;
  readonly place: string;
  /** Where the session was before, the last place first: whoever has one of them has lost it. */
  readonly former: readonly string[];
  until: number;
}

interface Ticket {
  readonly sessionId: string;
  readonly tenant: string;
  readonly place: string;
  readonly former: readonly string[];
  readonly rank: Rank;
  readonly since: number;
  readonly seen: number;
  readonly keepMs: number;
  readonly entries: readonly string[];
}

/** What an entry has left in one decision. */
interface Room {
  free: number;
  readonly reserve: number;
  starts: number;
}

/** The ledger of one process, for a gateway without Redis. It decides as `lua/ask.lua` does. */
export class MemoryQuota implements QuotaLedger {
  readonly #rules: QuotaRules;
  readonly #now: () => number;
  /** By session, or by ~ and the place of a slot that cools down. */
  readonly #slots = new Map<string, Slot>();
  readonly #line = new Map<string, Ticket>();
  /** By entry and place: until when a start counts. */
  readonly #starts = new Map<string, { readonly entry: string; until: number }>();
  readonly #workers = new Map<string, number>();
  /** The newest first. */
  #freed: number[] = [];

  /** @param now a clock in milliseconds that never goes back */
  constructor(rules: QuotaRules, now: () => number = () => performance.now()) {
    this.#rules = rules;
    this.#now = now;
  }

  async ask(asks: readonly Ask[]): Promise<AskAnswer[]> {
    const now = this.#now();
    this.#expire(now);
    const answers = new Map<string, AskAnswer>();
    const rooms = this.#rooms();
    const asked = new Map<string, Ask>();
    const known = new Set<string>();
    for (const ask of asks) {
      const slot = this.#slots.get(ask.sessionId);
      if (slot?.place === ask.place) {
        answers.set(ask.sessionId, { kind: 'granted', entry: slot.entry });
        continue;
      }
      const before = this.#line.get(ask.sessionId);
      if ((slot ?? before)?.former.includes(ask.place)) {
        answers.set(ask.sessionId, { kind: 'moved' });
        continue;
      }
      if (slot !== undefined) this.#bring(ask, slot, rooms, now);
      if (before !== undefined) known.add(ask.sessionId);
      asked.set(ask.sessionId, ask);
      this.#line.set(ask.sessionId, ticketOf(ask, slot, before, now));
    }
    const stays: { ticket: Ticket; hasSlot: boolean }[] = [];
    for (const ticket of this.#inOrder(now)) {
      const { entry, hasSlot } = takeRoom(ticket, rooms);
      if (entry === undefined || !asked.has(ticket.sessionId)) stays.push({ ticket, hasSlot });
      else {
        this.#grant(ticket, entry, now);
        answers.set(ticket.sessionId, { kind: 'granted', entry });
      }
    }
    this.#answerOthers(stays, asked, known, answers, now);
    return asks.map(({ sessionId }) => answers.get(sessionId) ?? { kind: 'full' });
  }

  async renew(worker: string, held: readonly HeldSlot[]): Promise<QuotaState> {
    const now = this.#now();
    this.#workers.set(worker, now + this.#rules.leaseMs);
    for (const { entry, place, sessionId, tenant } of held) {
      const slot = this.#slots.get(sessionId);
      if (slot !== undefined && slot.place !== place) continue;
      const former = slot?.former ?? [];
      this.#slots.set(sessionId, { entry, tenant, place, former, until: now + this.#rules.leaseMs });
    }
    return this.#state(now);
  }

  async note(notes: readonly QuotaNote[]): Promise<void> {
    const now = this.#now();
    for (const note of notes) {
      switch (note.kind) {
        case 'slot': {
          const slot = this.#slots.get(note.sessionId);
          if (slot?.place !== note.place) break;
          this.#slots.delete(note.sessionId);
          this.#cool(slot, note.coolMs, now);
          this.#noteFreed(now);
          break;
        }
        case 'start': {
          const start = this.#starts.get(`${note.entry}:${note.place}`);
          if (start !== undefined) start.until = now + note.countsMs;
          break;
        }
        case 'ticket':
          if (this.#line.get(note.sessionId)?.place === note.place) this.#line.delete(note.sessionId);
          break;
        default:
          note satisfies never;
      }
    }
  }

  async leave(worker: string): Promise<void> {
    this.#workers.delete(worker);
  }

  /** It is always there. */
  onAvailability(): () => void {
    return () => undefined;
  }

  #state(now: number): QuotaState {
    for (const [worker, until] of this.#workers) if (until <= now) this.#workers.delete(worker);
    const held = new Map<string, number>();
    for (const { entry, until } of this.#slots.values()) if (until > now) held.set(entry, (held.get(entry) ?? 0) + 1);
    return { workers: this.#workers.size, waiting: this.#line.size, held };
  }

  #expire(now: number): void {
    for (const [name, { tenant, until }] of this.#slots) {
      if (until > now) continue;
      this.#slots.delete(name);
      if (tenant !== undefined) this.#noteFreed(until);
    }
    for (const [name, { until }] of this.#starts) if (until <= now) this.#starts.delete(name);
    for (const [name, { keepMs, seen }] of this.#line) if (seen + keepMs <= now) this.#line.delete(name);
  }

  #rooms(): Map<string, Room> {
    const rooms = new Map<string, Room>();
    for (const { name, reserve, startsPerSecond, streams } of this.#rules.entries) {
      rooms.set(name, { free: streams, reserve, starts: startsPerSecond });
    }
    for (const { entry } of this.#slots.values()) {
      const room = rooms.get(entry);
      if (room !== undefined) room.free -= 1;
    }
    for (const { entry } of this.#starts.values()) {
      const room = rooms.get(entry);
      if (room !== undefined) room.starts -= 1;
    }
    return rooms;
  }

  /** A session needs another stream: its slot is free as soon as the earlier one does not count any more. */
  #bring({ coolMs, sessionId }: Ask, slot: Slot, rooms: ReadonlyMap<string, Room>, now: number): void {
    this.#slots.delete(sessionId);
    this.#cool(slot, coolMs, now);
    const room = rooms.get(slot.entry);
    if (room !== undefined && coolMs <= 0) room.free += 1;
  }

  #cool({ entry, place }: Slot, coolMs: number, now: number): void {
    if (coolMs > 0) this.#slots.set(`~${place}`, { entry, place, former: [], tenant: undefined, until: now + coolMs });
  }

  #grant({ former, place, sessionId, tenant }: Ticket, entry: string, now: number): void {
    this.#line.delete(sessionId);
    this.#slots.set(sessionId, { entry, tenant, place, former, until: now + this.#rules.leaseMs });
    this.#starts.set(`${entry}:${place}`, { entry, until: now + this.#rules.startMs });
  }

  /** The tickets that count, as their turn comes. */
  *#inOrder(now: number): Generator<Ticket> {
    const loads = new Map<string, number>();
    const add = (tenant: string) => loads.set(tenant, (loads.get(tenant) ?? 0) + 1);
    for (const { tenant } of this.#slots.values()) if (tenant !== undefined) add(tenant);
    const live = [...this.#line.values()].filter(({ seen }) => seen + this.#rules.blockMs > now).sort(byAge);
    for (const rank of RANKS) {
      const queues = Map.groupBy(
        live.filter((ticket) => ticket.rank === rank),
        ({ tenant }) => tenant,
      );
      while (queues.size > 0) {
        const weight = ({ since, tenant }: Ticket) => (loads.get(tenant) ?? 0) - (now - since) / this.#rules.patienceMs;
        const [first] = [...queues.values()]
          .flatMap(([ticket]) => (ticket === undefined ? [] : [ticket]))
          .sort((a, b) => weight(a) - weight(b) || byAge(a, b));
        if (first === undefined) break;
        const queue = queues.get(first.tenant);
        queue?.shift();
        if (queue?.length === 0) queues.delete(first.tenant);
        yield first;
        add(first.tenant);
      }
    }
  }

  #answerOthers(
    stays: readonly { readonly ticket: Ticket; readonly hasSlot: boolean }[],
    asked: ReadonlyMap<string, Ask>,
    known: ReadonlySet<string>,
    answers: Map<string, AskAnswer>,
    now: number,
  ): void {
    const isNew = ({ rank, sessionId }: Ticket) => rank === 2 && asked.has(sessionId) && !known.has(sessionId);
    let waiting = [...this.#line.values()].filter((ticket) => ticket.rank === 2 && !isNew(ticket)).length;
    let position = 0;
    const oldest = this.#freed.at(-1);
    const freedEveryMs = oldest === undefined ? undefined : Math.trunc((now - oldest) / this.#freed.length);
    for (const { hasSlot, ticket } of stays) {
      if (isNew(ticket)) {
        if (waiting >= this.#rules.lineLength) {
          this.#line.delete(ticket.sessionId);
          continue;
        }
        waiting += 1;
      }
      position += 1;
      if (asked.has(ticket.sessionId)) {
        answers.set(ticket.sessionId, { kind: 'waiting', position, hasSlot, freedEveryMs });
      }
    }
  }

  #noteFreed(at: number): void {
    this.#freed = [at, ...this.#freed].slice(0, FREED_KEPT);
  }
}

function ticketOf(ask: Ask, slot: Slot | undefined, before: Ticket | undefined, now: number): Ticket {
  const { continuation, entries, keepMs, place, sessionId, tenant, waitedMs } = ask;
  // Who waits as a new one was never served, and is no other when it comes back elsewhere.
  const rank = slot !== undefined ? 0 : (before?.rank ?? (continuation ? 1 : 2));
  return {
    sessionId,
    tenant,
    place,
    former: formerOf(slot ?? before, place),
    rank,
    since: before?.since ?? now - waitedMs,
    seen: now,
    keepMs,
    entries,
  };
}

/**
 * Takes the slot that a ticket could have, whether or not it is there to get it: what another worker's could have is
 * kept for it, because that worker asks in a moment.
 * @returns the entry, if it has a start too
 */
function takeRoom({ entries, rank }: Ticket, rooms: ReadonlyMap<string, Room>) {
  let chosen: { readonly name: string; readonly room: Room } | undefined;
  for (const name of entries) {
    const room = rooms.get(name);
    if (room === undefined || room.free <= (rank === 2 ? room.reserve : 0)) continue;
    if (room.starts > 0) {
      room.free -= 1;
      room.starts -= 1;
      return { entry: name, hasSlot: true };
    }
    chosen ??= { name, room };
  }
  if (chosen !== undefined) chosen.room.free -= 1;
  return { entry: undefined, hasSlot: chosen !== undefined };
}

function formerOf(known: Pick<Ticket, 'place' | 'former'> | undefined, place: string): readonly string[] {
  if (known === undefined || known.place === place) return known?.former ?? [];
  return [known.place, ...known.former].slice(0, FORMER_KEPT);
}

function byAge(a: Ticket, b: Ticket): number {
  return a.since - b.since || (a.sessionId < b.sessionId ? -1 : 1);
}
