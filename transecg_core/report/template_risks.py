"""The page's sections on risks: tables by family, curves, rebuilt beats, people, sites."""

# ruff: noqa: E501  (lines of HTML)

ROWS = """{% macro risk_table(rows, kind, fold=false) %}
<div class="scroll"><table class="risk"><thead><tr><th>attack</th><th>protocol</th><th>metric</th><th class="n">main</th><th>95 % interval</th><th class="n">control</th>
<th class="n">baseline</th>{% if kind.has_ceiling %}<th class="n">ceiling</th>{% endif %}<th class="n">people</th>{% if kind.has_notes %}<th>notes</th>{% endif %}</tr></thead>
<tbody>{% for row in rows %}
<tr class="{{ 'loud' if row.loud else 'off' if row.main is none }}{{ ' on' if not row.last }}">{% if row.span %}<td class="name" rowspan="{{ row.span }}">{{ row.name }}{% if not fold %}<span class="sub">{{ row.observer }}; knows {{ row.auxiliary_data or 'nothing else' }}</span>{% endif %}</td>{% endif %}
<td class="w">{{ row.protocol }}{% if row.leaky %} <b>(leaky)</b>{% endif %}</td><td class="metric">{{ row.metric_text }}</td>
<td class="n">{{ row.main_text }}</td><td class="ci">{{ row.ci_text }}</td>
<td class="n">{{ row.control_text }}</td><td class="n">{{ row.baseline_text }}</td>
{% if kind.has_ceiling %}<td class="n">{{ row.ceiling_text }}</td>{% endif %}<td class="n">{{ row.n_participants|count }}</td>
{% if kind.has_notes %}<td class="note">{{ row.own_notes }}{% if row.marks %}<sup>{{ row.marks|join(' ') }}</sup>{% endif %}</td>{% endif %}</tr>
{% endfor %}</tbody></table></div>
{% endmacro %}
"""

RISKS = """<section id="risks">
<h2>Three risks, never added up</h2>
<p class="lead">Only the third is what differential privacy bounds. Pooled over sites; the sites follow below.</p>
<div class="legend"><span><i class="dot"></i>main</span><span><i class="bar"></i>95 % interval over people</span>
<span><i class="ring"></i>control (B: people never trained on; C: untrained encoder)</span><span><i class="dash"></i>baseline (A, C: naive guess; B: untrained encoder)</span>
<span><i class="wall"></i>ceiling (privacy guarantee)</span></div>
<div class="panels">
{% for kind in kinds %}
<figure>
<h4 class="k-{{ kind.kind }}"><span class="k">{{ kind.kind }}</span>{{ kind.title }}</h4>
<figcaption>{{ kind.question }} {{ kind.bound }}</figcaption>
{% if kind.svg %}{{ kind.svg }}{% else %}<p class="quiet">Nothing measured.</p>{% endif %}
{% if kind.more %}<figcaption>{{ kind.more }}</figcaption>{% endif %}
</figure>
{% endfor %}
</div>
{% for kind in kinds %}{% if kind.families %}
<h3 class="k-{{ kind.kind }}"><span class="k">{{ kind.kind }}</span>{{ kind.title }}: all pooled figures</h3>
{% for family in kind.families %}
<div class="family">
<h4>{{ family.title }}</h4><p class="asks">{{ family.asks }}</p>
{{ risk_table(family.rows, kind) }}
{% if family.folded %}<details><summary>{{ family.summary }}</summary>{{ risk_table(family.folded, kind, true) }}</details>{% endif %}
</div>
{% endfor %}
{% if kind.footnotes %}<details class="notes"{{ ' open' if kind.footnotes|length <= 8 }}><summary>Notes that many rows share ({{ kind.footnotes|length }})</summary><ol class="foot">{% for note in kind.footnotes %}<li>{{ note }}</li>{% endfor %}</ol></details>{% endif %}
{% endif %}{% endfor %}
</section>
"""

CURVES = """{% if curves %}
<section id="curves">
<h2>How the figures change</h2>
<p class="lead">The same attacks as a function of something: how many guesses, how many people in the gallery, how many rounds seen.</p>
<div class="legend"><span><i class="line"></i>main</span><span><i class="band"></i>95 % interval over people</span><span><i class="line dashed"></i>control</span><span><i class="line dotted"></i>baseline</span></div>
<div class="panels four">{% for item in curves %}
<figure><h4 class="k-{{ item.kind }}"><span class="k">{{ item.kind }}</span>{{ item.title }}</h4>{{ item.svg }}<figcaption>{{ item.text }}</figcaption></figure>
{% endfor %}</div>
{% if more_curves %}<p class="quiet">{{ more_curves }}</p>{% endif %}
</section>
{% endif %}
"""

REBUILT = """{% if rebuilt %}
<section id="rebuilt">
<h2>Heartbeats rebuilt from updates</h2>
<p class="lead">What an observer of one update makes of it, over the beat that was trained on. The closer the two, the more was given away.</p>
<div class="legend"><span><i class="line thin"></i>true beat</span><span><i class="line dashed c"></i>rebuilt from the update</span></div>
<div class="panels four">{% for item in rebuilt %}
<figure><h4>{{ item.setting }}</h4>{{ item.svg }}<figcaption>correlation {{ item.correlation }}</figcaption></figure>
{% endfor %}</div>
{% if more_rebuilt %}<p class="quiet">{{ more_rebuilt }}</p>{% endif %}
</section>
{% endif %}
"""

PEOPLE = """{% if certain or strips or worst or groups.rows %}
<section id="people">
<h2>Person by person</h2>
{% if certain %}<p>Linked with certainty: every one of a person's recordings ranks them first, with a similarity above every wrong match of everybody else's recordings.</p>
<ul class="plain">{% for line in certain %}<li>{{ line }}.</li>{% endfor %}</ul>{% endif %}
{% if strips %}
<p class="quiet">One dot per person ({{ listed }}); the line marks the middle one. Each is judged by the hardest protocol that they have recordings for. This is one training run: the next one may expose others.</p>
<div class="panels">{% for item in strips %}<figure><h4>{{ item.title }}</h4>{{ item.svg }}<figcaption>{{ item.about }}</figcaption></figure>{% endfor %}</div>
{% endif %}
{% if worst %}
<h3>The {{ worst|length }} easiest to find</h3>
<p class="quiet">Codes are salted hashes; <code>people.csv</code> beside this report says whose they are. It stays where the data is, and so does this report.</p>
<div class="scroll"><table><thead><tr><th>person</th><th>site</th><th>trained on</th><th>protocol</th><th>linked with<br>certainty</th><th class="n">recordings<br>found</th><th class="n">of</th><th class="n">expected<br>rank</th><th class="n">margin</th><th class="n">found from the<br>signal alone</th>{% for name in memberships %}<th class="n wrap">above controls, {{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in worst %}<tr><td class="w"><code>{{ row.who }}</code></td><td class="w">{{ row.site }}</td><td>{{ row.group }}</td><td class="w">{{ row.protocol }}</td><td>{{ row.certain }}</td><td class="n">{{ row.rank1 }}</td><td class="n">{{ row.queries }}</td><td class="n">{{ row.rank }}</td><td class="n">{{ row.margin }}</td><td class="n">{{ row.signal }}</td>{% for value in row.percentiles %}<td class="n">{{ value }}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></div>
{% endif %}
{% if groups.rows %}
<h3>Group by group</h3>
<p class="quiet">Share of people found (rank-1), {{ groups.protocol }}, over all sites. Groups differ in size, site and recorder too: a difference between them is no proof that the attribute causes it.</p>
<div class="scroll"><table><thead><tr><th>attribute</th><th>group</th>{% if groups.floor %}<th class="n">{{ groups.floor }}</th><th>95 % interval</th><th class="n">people</th>{% endif %}{% if groups.model %}<th class="n">{{ groups.model }}</th><th>95 % interval</th><th class="n">people</th><th class="n">never<br>trained on</th><th class="n">people</th>{% endif %}</tr></thead><tbody>
{% for row in groups.rows %}<tr class="{{ 'on' if not loop.last and not groups.rows[loop.index].span }}">{% if row.span %}<td class="name short" rowspan="{{ row.span }}">{{ row.attribute }}</td>{% endif %}<td class="w">{{ row.group }}</td>
{% if groups.floor %}{% if row.A and not row.A.note %}<td class="n">{{ row.A.main }}</td><td class="ci">{{ row.A.ci }}</td><td class="n">{{ row.A.n }}</td>{% else %}<td class="note" colspan="3">{{ row.A.note if row.A else '' }}</td>{% endif %}{% endif %}
{% if groups.model %}{% if row.B and not row.B.note %}<td class="n">{{ row.B.main }}</td><td class="ci">{{ row.B.ci }}</td><td class="n">{{ row.B.n }}</td><td class="n">{{ row.B.control }}</td><td class="n">{{ row.B.controls }}</td>{% else %}<td class="note" colspan="5">{{ row.B.note if row.B else '' }}</td>{% endif %}{% endif %}</tr>{% endfor %}
</tbody></table></div>
{% endif %}
</section>
{% endif %}
"""

SITES = """{% macro site_rows(rows, sites) %}
<div class="scroll"><table><thead><tr><th>attack</th><th>protocol</th><th>metric</th>{% for site in sites %}<th class="n">{{ site }}</th>{% endfor %}</tr></thead>
<tbody>{% for row in rows %}<tr><td class="name">{{ row.name }}</td><td>{{ row.protocol }}{% if row.leaky %} <b>(leaky)</b>{% endif %}</td><td>{{ row.metric }}</td>
{% for cell in row.cells %}<td class="n">{{ cell.main }}{% if cell.ci %}<span class="sub">{{ cell.ci }}</span>{% endif %}{% if cell.control %}<span class="sub">control {{ cell.control }}</span>{% endif %}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></div>
{% endmacro %}
<section id="sites">
<h2>Site by site</h2>
{% if site_tables %}
{% for table in site_tables %}
<h3 class="k-{{ table.kind }}"><span class="k">{{ table.kind }}</span>{{ table.title }}</h3>
{{ site_rows(table.rows, table.sites) }}
{% if table.folded %}<details><summary>{{ table.summary }}</summary>{{ site_rows(table.folded, table.sites) }}</details>{% endif %}
{% if table.reasons %}<p class="quiet">Not measurable: {{ table.reasons|join('; ') }}.</p>{% endif %}
{% endfor %}
{% else %}<p class="quiet">No risk was measured per site.</p>{% endif %}
</section>
"""
