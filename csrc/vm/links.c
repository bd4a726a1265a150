/* SPDX-License-Identifier: MIT */
/* links.c - what a message holds of records; see links.h.
 *
 * Pairs are found when all is written, by looking up each identity of the records among the message's own; with several records, theirs are entered too, so that
 * the next one meets them. In the receiver pairs only ever unite, so their order does not matter, nor does it that some say what the links say already. */
#include "vm/links.h"

#include <string.h>

GrRecord *gr_record_new(uint32_t nitems) {
  GrRecord *r = gr_zalloc(sizeof *r + nitems * sizeof r->identities[0]);
  if (r == NULL) return NULL;
  atomic_init(&r->refs, 1);
  r->depth = 1;
  return r;
}

void gr_record_ref(GrRecord *r) { atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed); }

void gr_record_unref(GrRecord *r) {
  if (r == NULL || atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) > 1) return;
  if (r->pack != NULL) gr_pack_free(r->pack);
  gr_free(r);
}

static size_t size_of(uint32_t nrecords, uint32_t nlinks, uint32_t npairs) {
  return sizeof(GrLinks) + nlinks * sizeof(GrLink) + nrecords * sizeof(GrRecord *) + npairs * sizeof(GrPair);
}

size_t gr_links_size(const GrLinks *l) { return size_of(l->nrecords, l->nlinks, l->npairs); }

static void lay_out(GrLinks *l) {
  l->links = (GrLink *)(void *)(l + 1);
  l->records = (GrRecord **)(void *)(l->links + l->nlinks);
  l->pairs = (GrPair *)(void *)(l->records + l->nrecords);
}

GrLinks *gr_links_new(uint32_t nrecords, uint32_t nlinks, uint32_t npairs) {
  GrLinks *l = gr_zalloc(size_of(nrecords, nlinks, npairs));
  if (l == NULL) return NULL;
  l->nrecords = nrecords;
  l->nlinks = nlinks;
  l->npairs = npairs;
  lay_out(l);
  return l;
}

GrLinks *gr_links_copy(const GrLinks *from) {
  GrLinks *l = gr_malloc(gr_links_size(from));
  if (l == NULL) return NULL;
  memcpy(l, from, gr_links_size(from));
  lay_out(l);
  for (uint32_t i = 0; i < l->nrecords; i++) gr_record_ref(l->records[i]);
  return l;
}

void gr_links_free(GrLinks *l) {
  if (l == NULL) return;
  for (uint32_t i = 0; i < l->nrecords; i++) gr_record_unref(l->records[i]);
  gr_free(l);
}

uint32_t gr_links_total(const GrPack *p) {
  uint32_t n = p->nitems;
  for (uint32_t i = 0; p->links != NULL && i < p->links->nrecords; i++) n += p->links->records[i]->pack->nitems;
  return n;
}

/* ---- while a message is packed ---- */

typedef struct GrLinking {
  GrRecord **records;
  GrLink *links;
  GrPair *pairs;
  uint32_t nrecords, records_cap, nlinks, links_cap, npairs, pairs_cap;
} Linking;

/* Room for one more. */
static void *grown(lua_State *L, Packer *k, void *array, uint32_t n, uint32_t *cap, size_t size) {
  if (n < *cap) return array;
  uint32_t more = *cap > 0 ? *cap * 2 : 4;
  void *block = gr_realloc(array, more * size);
  if (block == NULL) gr_packer_no_memory(L, k);
  *cap = more;
  return block;
}

static uint32_t add_record(lua_State *L, Packer *k, GrRecord *r) {
  Linking *l = k->linking;
  for (uint32_t i = 0; i < l->nrecords; i++)
    if (l->records[i] == r) return i;
  l->records = grown(L, k, l->records, l->nrecords, &l->records_cap, sizeof(GrRecord *));
  gr_record_ref(l->records[l->nrecords] = r);
  return l->nrecords++;
}

void gr_links_add(lua_State *L, Packer *k, uint32_t number, GrRecord *r, uint32_t root) {
  if (k->linking == NULL && (k->linking = gr_zalloc(sizeof *k->linking)) == NULL) gr_packer_no_memory(L, k);
  Linking *l = k->linking;
  const GrLinks *more = r->pack->links;
  uint64_t id = r->pack->items[root].id;
  uint32_t record = add_record(L, k, r);
  for (uint32_t i = 0; more != NULL && i < more->nrecords; i++) add_record(L, k, more->records[i]);
  l->links = grown(L, k, l->links, l->nlinks, &l->links_cap, sizeof *l->links);
  l->links[l->nlinks] = (GrLink){id, number, record, root, l->nrecords};
  Item *item = &k->p.items[number];
  item->kind = I_LINK;
  item->id = id;
  item->view = l->nlinks++;
  k->p.need |= r->pack->need;
  k->p.classes = true;
}

int gr_links_depth(const Packer *k) {
  int depth = 0;
  for (uint32_t i = 0; k->linking != NULL && i < k->linking->nrecords; i++)
    if (depth < k->linking->records[i]->depth) depth = k->linking->records[i]->depth;
  return depth;
}

static void drop_records(Linking *l, uint32_t from) {
  while (l->nrecords > from) gr_record_unref(l->records[--l->nrecords]);
}

void gr_links_roll_back(Packer *k, uint32_t nitems) {
  Linking *l = k->linking;
  if (l == NULL) return;
  while (l->nlinks > 0 && l->links[l->nlinks - 1].item >= nitems) l->nlinks--;
  drop_records(l, l->nlinks > 0 ? l->links[l->nlinks - 1].nrecords : 0);
}

void gr_links_give_up(Packer *k) {
  Linking *l = k->linking;
  k->linking = NULL;
  if (l == NULL) return;
  drop_records(l, 0);
  gr_free(l->records);
  gr_free(l->links);
  gr_free(l->pairs);
  gr_free(l);
}

static void add_pair(lua_State *L, Packer *k, uint32_t a, uint32_t b) {
  Linking *l = k->linking;
  l->pairs = grown(L, k, l->pairs, l->npairs, &l->pairs_cap, sizeof *l->pairs);
  l->pairs[l->npairs++] = (GrPair){a, b};
}

/* Its items are numbered from `base` on. */
static void find_pairs(lua_State *L, Packer *k, const GrRecord *r, uint32_t base, bool alone) {
  const Linking *l = k->linking;
  for (uint32_t i = 0; i < r->pack->nitems; i++) {
    if (r->identities[i] == NULL) continue;
    const Slot *slot = gr_packer_find(k, r->identities[i]);
    if (slot == NULL) {
      if (!alone) gr_packer_enter(L, k, r->identities[i], base + i);
      continue;
    }
    const Item *item = slot->item < k->p.nitems ? &k->p.items[slot->item] : NULL;
    bool its_link = item != NULL && item->kind == I_LINK && l->records[l->links[item->view].record] == r && l->links[item->view].root == i;
    if (!its_link) add_pair(L, k, slot->item, base + i);
  }
}

void gr_links_finish(lua_State *L, Packer *k) {
  const Linking *l = k->linking;
  if (l == NULL) return;
  uint32_t base = k->p.nitems;
  for (uint32_t i = 0; i < l->nrecords; i++) {
    find_pairs(L, k, l->records[i], base, l->nrecords == 1);
    base += l->records[i]->pack->nitems;
  }
  GrLinks *links = l->nlinks > 0 ? gr_links_new(l->nrecords, l->nlinks, l->npairs) : NULL;
  if (links == NULL && l->nlinks > 0) gr_packer_no_memory(L, k);
  if (links != NULL) {
    memcpy(links->records, l->records, l->nrecords * sizeof(GrRecord *));
    memcpy(links->links, l->links, l->nlinks * sizeof(GrLink));
    if (l->npairs > 0) memcpy(links->pairs, l->pairs, l->npairs * sizeof(GrPair));
    k->linking->nrecords = 0; /* the references are the message's */
  }
  k->p.links = links;
  gr_links_give_up(k);
}
