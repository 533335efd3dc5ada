/* Roles: the processes that `serve` is made of, one file each.
 *
 * Master starts a role by fork and exec of the same binary: `wasmcloud ROLE [WORD] [--option=…]`.
 * What it may use are the descriptors below, at fixed numbers; anything else is closed before
 * exec. Each function is a hidden row of the command table and returns the exit status.
 *
 *   master      `serve` itself
 *   edge N      functions edge number N (0 …);  edge platform: the platform's
 *   exec [fuel] [one]  one project's guests; fuel: the engine that counts gas; one: one at a time
 *   control     the database and the API
 *   egress      what guests open beyond this machine
 *   compile [fuel|assets]  one module (or bundle of assets) in, one image out */
#pragma once

#include "ipc/role.h" /* ROLE_LEASH, at 3 */

enum role_fd {
    /* edge */
    EDGE_LISTEN = 4, /* listening TCP socket, non-blocking */
    EDGE_ROUTES = 5, /* functions edge: folder DATA/routes */
    EDGE_SPOOL = 6,  /* functions edge: folder DATA/spool; its ring is edge-N */
    EDGE_NODE = 7,   /* functions edge: the node key, 32 bytes */
    /* exec */
    EXEC_FRAMES = 4, /* stream socket to its edge (ipc/channel.h) */
    EXEC_IMAGES = 5, /* folder DATA/images/ENGINE */
    EXEC_EGRESS = 6, /* stream socket to egress, once the edge has joined them (ipc/exchange.h) */
    /* egress */
    EGRESS_SPOOL = 4,  /* folder DATA/spool: its journal is the ring "egress"; `run` gives none */
    EGRESS_POLICY = 5, /* the operator's policy, a file open for reading, if there is one */
    /* control */
    CONTROL_DATA = 4,    /* folder DATA */
    CONTROL_SIGNING = 5, /* Ed25519 seed, 32 bytes */
    CONTROL_SECRETS = 6, /* 32 bytes */
    CONTROL_NODE = 7,    /* 32 bytes */
    /* compile */
    COMPILE_MODULE = 4, /* the module, a regular file open for reading */
    COMPILE_IMAGE = 5,  /* an empty regular file open for reading and writing: gets the image */
    COMPILE_RESULT = 6, /* stream socket or pipe: gets what ipc/compile.h says, then closes */
};

/* Folders and files of a data folder; all created by master or control, 0700 and 0600.
 *   lock               flock()ed by master: a second server is refused
 *   db.sqlite          control's database
 *   keys/signing keys/secrets keys/node
 *   blobs/DIGEST       modules as uploaded and bundles of assets, 0444
 *   images/ENGINE/PROJECT/DIGEST   compiled, 0444; PROJECT is the project's uuid; DIGEST.fuel: of
 *                      the engine that counts gas
 *   images/ENGINE/PROJECT/assets/DIGEST   copies of bundles, where exec can open them
 *   routes/routes.mdb  the route table
 *   spool/edge-N       rings
 *   operator.token     the first token, 0600 */

enum { EXEC_OWN_MEMORY = 64 << 20 /* of the limit exec-memory, not for one guest's memory */ };

int role_edge(int argc, char **argv);
int role_exec(int argc, char **argv);
int role_control(int argc, char **argv);
int role_egress(int argc, char **argv);
int role_compile(int argc, char **argv);
