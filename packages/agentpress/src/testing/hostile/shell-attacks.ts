import type { Host } from "./host.ts";
import type { Attack } from "./path-attacks.ts";

const node = (program: string): string => `node -e ${JSON.stringify(program)}`;
const ask = (url: string): string => node(`fetch('${url}').then(r=>r.text()).then(console.log,()=>0)`);
const dial = (where: string): string =>
  node(`require('net').connect(${where}).on('data',d=>console.log(String(d))).on('error',()=>0)`);

/** What a command may try, by what it is after. */
export const shellAttacks = (host: Host): Attack[] => {
  const { secret, victim, outside, httpPort } = host;
  const pid = host.neighbour();
  const commands: Record<string, string> = {
    "reads a file": `cat ${secret}`,
    "reads a file through its own root": `cat /proc/self/root${secret}`,
    "reads a file through a neighbour's root": `cat /proc/${pid}/root${secret}`,
    "reads a file through a link": `ln -sfn ${secret} there; cat there`,
    "reads a file through a hard link": `ln -f ${secret} hard; cat hard`,
    "reads a file through an open descriptor": `exec 9<${secret}; cat <&9`,
    "reads a file with another program": node(`console.log(String(require('fs').readFileSync('${secret}')))`),
    "packs a file": `tar cf - -C ${outside} secret.txt | tar xOf -`,
    "lists a folder": `ls ${outside}`,
    "reads its environment": "env",
    "reads its environment in /proc": "cat /proc/self/environ",
    "reads a neighbour's environment": `tr '\\0' '\\n' < /proc/${pid}/environ`,
    "reads a neighbour's command line": `tr '\\0' '\\n' < /proc/${pid}/cmdline`,
    "writes a file": `echo owned > ${victim}`,
    "writes a file through a link": `ln -sfn ${victim} v; echo owned > v`,
    "writes a file with another program": node(`require('fs').writeFileSync('${victim}','owned')`),
    "plants a program": `cp /bin/true ${outside}/planted`,
    "opens a file to everybody": `chmod 777 ${victim}`,
    "deletes a folder": `rm -rf ${outside}`,
    "moves a file away": `mv ${victim} mine`,
    "ends a neighbour": `kill -9 ${pid}; sleep 0.2`,
    "asks a server of the host": ask(`http://127.0.0.1:${httpPort}/`),
    "asks it by name": ask(`http://localhost:${httpPort}/`),
    "asks it as any address": ask(`http://0.0.0.0:${httpPort}/`),
    "asks it without a program": `exec 3<>/dev/tcp/127.0.0.1/${httpPort} && printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3`,
    "sends a datagram": node(
      `const s=require('dgram').createSocket('udp4');s.send('x',${host.udpPort},'127.0.0.1',()=>setTimeout(()=>s.close(),100))`,
    ),
    "dials a socket in the file system": dial(`'${host.socket}'`),
    "dials an abstract socket": dial(`String.fromCharCode(0)+'${host.abstractSocket}'`),
    "does it all in the background": `(cat ${secret}; echo owned > ${victim}) & wait`,
  };
  return Object.entries(commands).map(([name, command]) => ({
    name: `a command ${name}`,
    turns: [[{ name: "execute_command", args: { command, timeout_seconds: 20 } }]],
  }));
};
