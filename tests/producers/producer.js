// SPDX-License-Identifier: MIT
const fs = require("fs");

function drop(spool, name, data) {
    const fd = fs.openSync(`${spool}/tmp/${name}`, "wx", 0o640);
    fs.fchmodSync(fd, 0o640);
    fs.writeFileSync(fd, data);
    fs.fsyncSync(fd);
    fs.renameSync(`${spool}/tmp/${name}`, `${spool}/incoming/${name}`);
    fs.fsyncSync(fd);
    fs.closeSync(fd);
}

drop(process.argv[2], "from-node.job", "Handler: greet\nArg: Ann\n\n");
drop(process.argv[2], "from-node.txt", "a few words\n");
