// The line protocol of a phone process: a JSON object a line in, one out.

import readline from "node:readline"

// Milliseconds that something takes, and what came of it.
export async function timed(work) {
  const started = performance.now()
  const done = await work()
  return [done, performance.now() - started]
}

// Obeys standard input with phones of one kind: `kind(folder)` opens one. A phone
// that has to wait for silence says itself how long the rest took.
export async function obey(kind, findings) {
  const phones = []
  const steps = {
    async open({ phone, folder }) {
      const [opened, ms] = await timed(() => kind(folder))
      phones[phone] = opened
      return { ms }
    },
    async close({ phone }) {
      await phones[phone].close()
      delete phones[phone]
      return {}
    },
    async join({ phone, server, secret }) {
      return (await phones[phone].join(server, secret)) ?? {}
    },
    async capture({ phone, from, count, grid }) {
      const each_ms = []
      for (const planned of findings.slice(from, from + count)) {
        const finding = { ...planned, grid: grid ?? planned.grid }
        const [, ms] = await timed(() => phones[phone].capture(finding))
        each_ms.push(ms)
      }
      return { each_ms }
    },
    async sync({ phone, server }) {
      const [done, ms] = await timed(() => phones[phone].sync(server))
      return { ms: done?.ms ?? ms }
    },
    async "push-all"({ server }) {
      const all = () => Promise.all(phones.map((phone) => phone.push(server)))
      const [done, ms] = await timed(all)
      return { ms: done[0]?.ms ? Math.max(...done.map((each) => each.ms)) : ms }
    },
    async count({ phone }) {
      return { count: await phones[phone].count() }
    },
    async edit({ phone, nth, field, value }) {
      await phones[phone].edit(findings[nth], field, value)
      return {}
    },
    async show({ phone, nth, field }) {
      return phones[phone].show(findings[nth], field)
    },
    async newest({ phone, limit }) {
      const [titles, ms] = await timed(() => phones[phone].newest(limit))
      return { ms, titles }
    },
  }
  for await (const line of readline.createInterface({ input: process.stdin })) {
    const step = JSON.parse(line)
    let said
    try {
      said = await steps[step.do](step)
    } catch (error) {
      said = { error: String(error?.stack ?? error) }
    }
    process.stdout.write(JSON.stringify(said) + "\n")
  }
  process.exit(0)
}
