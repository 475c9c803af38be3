"""The page's section on attribution: coloured beats, shares, checks, sites, fiducial features, what-if."""

# ruff: noqa: E501  (lines of HTML)

PICTURES = """
<section id="beat">
<h2>What the model looks at</h2>
{% if beats %}
<p class="lead">One mean beat of the cohort, never one person's signal. Thicker and darker: more relevance, scaled within each map, however little of it is left in favour once it is added up over people (the table below tells how much).
<span class="scale"></span>none to most. P, QRS and T are shaded. Maps that may count towards a claim come first, raw attention and rollout beside them; a map that fails a check is grey.</p>
{% for task in beats %}
<h3>Task: {{ task.name }}</h3>
{% if task.said %}<p class="quiet said">{{ task.said[0]|upper }}{{ task.said[1:] }}.</p>{% endif %}
{% if task.why %}<p class="quiet">No map: {{ task.why }}.</p>
{% else %}<div class="panels {{ 'six' if task.maps|length > 4 else 'four' }}">{% for map in task.maps %}
<figure class="{{ '' if map.shown else 'grey' }}{{ ' beside' if map.beside }}"><h4>{{ map.method }}</h4>
{{ map.svg }}{% if map.reason %}<figcaption>{{ map.reason }}</figcaption>{% endif %}</figure>
{% endfor %}</div>{% endif %}
{% endfor %}
{% else %}<p class="quiet">No beat picture: {{ beat_reason }}</p>{% endif %}
"""

SHARES = """
{% if shares %}
<h3>Share of relevance against share of the time</h3>
<p class="quiet">Grey: how much of the time a component takes. A bar beyond the grey matters more than its length alone explains; at the right, how many times more, from the lowest to the highest map. Thick: the 95 % interval over people. Filled marks: it excludes the share of the time.</p>
<div class="legend">{% for item in legend %}<span><i class="mark {{ item.css }}" style="background:{{ item.colour }}"></i>{{ item.method }}: {{ item.words }}</span>{% endfor %}</div>
<div class="panels bars">{% for item in shares %}
<figure><h4>{{ item.task }}</h4>{{ item.svg }}{% if item.note %}<figcaption>{{ item.note }}</figcaption>{% endif %}</figure>
{% endfor %}</div>
{% endif %}
"""

CHECKS = """
{% if maps|rejectattr('why')|list %}
<h3>Every map and its checks</h3>
<p class="quiet">Insertion minus deletion says how well a map ranks what the model uses; it must beat random order and the same map moved in time. A map should also agree with knocking components out, survive boundaries moved by up to 20 ms, and vanish in a model with fresh weights or permuted labels (correlation near 0).</p>
<div class="scroll"><table class="maps"><thead><tr><th>method</th><th>verdict, evidence or reason</th><th>largest enrichment</th><th class="n wrap">less random</th><th class="n wrap">less moved in time</th><th class="n wrap">knock-out agreement</th><th class="n wrap">agrees with other maps</th><th class="n wrap">first under moved boundaries</th><th class="n wrap">fresh weights</th><th class="n wrap">permuted labels</th></tr></thead>
{% for block in maps %}<tbody><tr class="head"><td colspan="10"><b>{{ block.task }}</b>{% if block.said %}: {{ block.said }}{% endif %}{% if block.why %}<span class="sub">No map: {{ block.why }}</span>{% endif %}</td></tr>
{% for row in block.rows if not block.why %}<tr class="{{ '' if row.shown else 'off' }}"><td class="w">{{ row.method }}</td><td class="note"><b>{{ row.verdict }}</b>{% if row.reason %}: {{ row.reason }}{% endif %}{% for more in (row.seeds, row.fills) %}{% if more %}<span class="sub">{{ more }}</span>{% endif %}{% endfor %}</td><td class="w">{{ row.top[0] }}{% if row.top[1] %}<span class="sub">{{ row.top[1] }}</span>{% endif %}</td>
<td class="n">{{ row.random }}</td><td class="n">{{ row.shifted }}</td><td class="n">{{ row.knockout }}</td><td class="n">{{ row.agreement }}</td><td class="n">{{ row.jitter }}</td><td class="n">{{ row.reinitialised }}</td><td class="n">{{ row.permuted }}</td></tr>{% endfor %}</tbody>
{% endfor %}</table></div>
{% if checked %}<p class="quiet">A dash: not measured in this run. Permuted labels and other seeds are measured in profile full only.{% for item in beside %} {{ item.method }}: {{ item.words }}.{% endfor %}</p>{% endif %}
{% elif maps and not beats %}<ul class="plain quiet">{% for block in maps %}<li>{{ block.task }}: no map, {{ block.why }}.</li>{% endfor %}</ul>
{% endif %}
"""

BY_SITE = """
{% if by_site or missing.attribution_by_site %}
<h3>Site by site</h3>
{% if by_site and by_site.rows %}
<p class="quiet">The most enriched component of each map that is shown over all sites, with its 95 % interval over that site's people. The model is the same everywhere; sites differ in people, recorders and leads.</p>
<div class="scroll"><table><thead><tr><th>task</th><th>method</th>{% for site in by_site.sites %}<th>{{ site }}</th>{% endfor %}</tr></thead><tbody>
{% for row in by_site.rows %}<tr>{% if row.span %}<td class="name short" rowspan="{{ row.span }}">{{ row.task }}</td>{% endif %}<td class="w">{{ row.method }}</td>{% for cell in row.cells %}<td><span class="w">{{ cell.top }}</span>{% if cell.ci %} <span class="w">({{ cell.ci }})</span>{% endif %}{% if cell.sub %}<span class="sub">{{ cell.sub }}</span>{% endif %}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></div>
{% elif by_site %}<p class="quiet">No map is shown over all sites, so none is told site by site.</p>
{% else %}<p class="quiet">{{ missing.attribution_by_site }}</p>{% endif %}
{% if by_site and by_site.rows and by_site.greyed %}<p class="quiet">Greyed over all sites, so not told: {{ by_site.greyed|join('; ') }}.</p>{% endif %}
{% endif %}
"""

AT_SITES = """
{% if at_sites %}
<h3>Explained at the sites</h3>
<p class="quiet">Each site explained these heads on its own probes; nothing but the sums below left it. Enrichment per component, with its 95 % interval over the site's people. These maps are not checked for faithfulness at the site, so no row carries a claim; a row whose map of the same task and method is greyed over all sites is grey too.</p>
{% if at_sites.rows %}<div class="scroll"><table><thead><tr><th>task</th><th>site</th><th>head</th><th>method</th><th class="n">people</th><th class="n">accuracy</th>{% for name in at_sites.columns %}<th class="n">{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in at_sites.rows %}<tr class="{{ 'off' if row.greyed }}"><td>{{ row.task }}</td><td class="w">{{ row.site }}</td><td>{{ row.head }}</td><td>{{ row.method }}{% if row.greyed %}<span class="sub">greyed over all sites</span>{% endif %}</td><td class="n">{{ row.n }}</td><td class="n">{{ row.accuracy }}</td>
{% for cell in row.cells %}<td class="n">{{ cell.value }}{% if cell.ci %}<span class="sub">{{ cell.ci }}</span>{% endif %}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></div>{% endif %}
{% if at_sites.silent %}<p class="quiet">{{ 'Not told' if at_sites.rows else 'Nothing could be told' }}:</p><ul class="plain quiet">{% for line in at_sites.silent %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}
{% endif %}
"""

FIDUCIALS = """
{% if fiducials or missing.fiducial_models %}
<h3>ECG Unveiled: the same tasks from named features</h3>
{% if fiducials %}
<p class="quiet">A tree model that sees only intervals, heights and slopes between P, Q, R, S and T, explained by SHAP, beside the encoder on the same people. Where both are good and agree, the wave is in the signal and not a quirk of one model.</p>
<div class="scroll"><table class="named"><thead><tr><th>task</th><th>where</th><th class="n">named features</th><th class="n">encoder</th><th class="n">naive guess</th><th class="n">people</th><th>share of SHAP per component</th><th>agrees with the encoder's map by<span class="sub">rank correlation of 5 enrichments; chance ±0.9</span></th><th>top features</th></tr></thead><tbody>
{% for row in fiducials %}<tr>{% if row.span %}<td class="name short" rowspan="{{ row.span }}">{{ row.task }}<span class="sub">{{ row.metric }}</span></td>{% endif %}<td class="w">{{ row.site }}</td><td class="n">{{ row.value }}{% if row.ci %}<span class="sub">{{ row.ci }}</span>{% endif %}</td><td class="n">{{ row.vit }}{% if row.vit_ci %}<span class="sub">{{ row.vit_ci }}</span>{% endif %}</td><td class="n">{{ row.majority }}</td><td class="n">{{ row.n }}</td>
<td>{{ row.shares or '–' }}</td><td>{% for line in row.agreement %}{{ line }}{{ ', ' if not loop.last }}{% else %}–{% endfor %}</td><td class="note">{{ row.features|join(', ') or '–' }}{% if row.notes %}<span class="sub">{{ row.notes }}</span>{% endif %}</td></tr>{% endfor %}
</tbody></table></div>
{% else %}<p class="quiet">{{ missing.fiducial_models }}</p>{% endif %}
{% endif %}
"""

WHAT_IF = """
{% if what_if or missing.what_if %}
<h3>What if a data owner changed one component before sharing?</h3>
{% if what_if %}
<p>{{ what_if.sentence }}</p>
<p class="quiet"><i>Adapted</i>: the attacker knows of the change and makes it on everything it holds; that is what can be relied on, since a change shows in what is shared. <i>Refitted</i>: a probe fitted anew on changed windows. Differences with their 95 % intervals over people; what includes zero is under <i>can't tell</i>.</p>
<div class="scroll"><table class="whatif"><thead><tr><th>component</th><th>replaced by</th><th>gains</th><th>loses</th><th>can't tell</th></tr></thead><tbody>
{% for row in what_if.rows %}<tr><td class="w">{{ row.component }}</td><td>{{ row.change }}</td>{% for cell in (row.gains, row.losses) %}<td>{% for line in cell %}<span class="line-item">{{ line }}</span>{% else %}–{% endfor %}</td>{% endfor %}<td class="note">{{ row.unclear|join('; ') or '–' }}</td></tr>{% endfor %}
</tbody></table></div>
<details><summary>All figures</summary>
<div class="scroll"><table><thead><tr><th>component</th><th>replaced by</th><th>attack</th><th>metric</th><th class="n">before</th><th class="n">after</th><th>difference</th>{% for task in what_if.tasks %}<th>{{ task }}</th>{% endfor %}<th class="n">people</th><th>notes</th></tr></thead><tbody>
{% for row in what_if.figures %}<tr><td>{{ row.component }}</td><td>{{ row.change }}</td><td>{{ row.attack }}</td><td>{{ row.metric }}</td><td class="n">{{ row.before }}</td><td class="n">{{ row.after }}</td><td>{{ row.difference }}</td>{% for task in what_if.tasks %}<td>{{ row.utility.get(task, '–') }}</td>{% endfor %}<td class="n">{{ row.n }}</td><td class="note">{{ row.notes }}</td></tr>{% endfor %}
</tbody></table></div></details>
{% else %}<p class="quiet">{{ missing.what_if }}</p>{% endif %}
{% endif %}
</section>

"""

ATTRIBUTION = PICTURES + SHARES + CHECKS + BY_SITE + AT_SITES + FIDUCIALS + WHAT_IF
