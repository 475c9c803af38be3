"""The page's templates (Python strings: Flower's app bundle drops .html files)."""

# ruff: noqa: E501  (lines of HTML)

from transecg_core.report.template_attribution import ATTRIBUTION
from transecg_core.report.template_compare import MOVES
from transecg_core.report.template_risks import CURVES, PEOPLE, REBUILT, RISKS, ROWS, SITES

HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="referrer" content="no-referrer">
<title>{{ title }}</title>
<style>{{ css }}</style>
</head>
<body>
"""

REPORT = (
    HEAD
    + ROWS
    + """<header class="top">
<p class="over">TransECG-FL · run report{{ ' · shareable edition' if r.edition == 'shareable' }}</p>
<h1>{{ headline }}</h1>
<p class="facts">{% for fact in facts %}<span>{{ fact }}</span> {% endfor %}</p>
{% for banner in banners %}
<div class="banner {{ banner.style }}"><strong>{{ banner.title }}</strong><p>{{ banner.text }}</p></div>
{% endfor %}
</header>
<main>

<section class="first" id="verdict">
<div class="cards">
{% for card in cards %}
<div class="card k-{{ card.kind }}">
<div class="kind">{{ card.kind }} · {{ card.title }}</div>
<div class="big{{ ' none' if card.value is none }}">{{ card.value if card.value is not none else 'not measured' }}</div>
<p class="what">{{ card.what }}</p>
{% for line in card.against %}<p class="against">{{ line }}</p>{% endfor %}
</div>
{% endfor %}
</div>
<h2>Verdict</h2>
<dl class="verdict">
{% for topic, text in verdict %}<dt>{{ topic }}</dt><dd>{{ text }}</dd>{% endfor %}
</dl>
</section>

"""
    + RISKS
    + CURVES
    + PEOPLE
    + REBUILT
    + ATTRIBUTION
    + SITES
    + """
<section id="utility">
<h2>What the model is useful for</h2>
{% if utility %}
<p class="quiet">Under each score: its 95 % interval over people, and what always guessing the most frequent class scores.{% if utility.pretrained %} <i>Start</i> is the same score before any training here (zero-shot), by weights pretrained on synthetic people.{% endif %}</p>
<div class="scroll"><table><thead><tr><th>task</th><th>metric</th>{% for site in utility.sites %}<th class="n">{{ site }}</th>{% endfor %}</tr></thead><tbody>
{% for row in utility.rows %}<tr><td class="name">{{ row.task }}{% if row.note %}<span class="sub">{{ row.note }}</span>{% endif %}</td><td>{{ row.metric }}</td>
{% for cell in row.cells %}<td class="n">{{ cell.value }}{% if cell.ci %}<span class="sub">{{ cell.ci }}</span><span class="sub">guess {{ cell.majority }}</span>{% if cell.start %}<span class="sub">start {{ cell.start }}</span>{% endif %}{% endif %}</td>{% endfor %}</tr>{% endfor %}
</tbody></table></div>
{% if utility.reasons %}<p class="quiet">Without a score:</p><ul class="plain">{% for line in utility.reasons %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}
{% else %}<p class="quiet">No utility task was trained.</p>{% endif %}
<h3>Training</h3>
{% if curve %}<figure class="wide">{{ curve }}<figcaption>{{ curve_note }}</figcaption></figure>{% else %}<p class="quiet">{{ curve_note }}</p>{% endif %}
{% if absences %}<p>Absent sites:</p><ul class="plain">{% for line in absences %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}
</section>

<section id="privacy">
<h2>Privacy account</h2>
<div class="scroll"><table><tbody>
<tr><td>unit of privacy</td><td>{{ r.privacy.unit }}</td></tr>
<tr><td>covers</td><td>{{ r.privacy.covers or '–' }}</td></tr>
<tr><td>target epsilon</td><td>{{ r.privacy.target_epsilon|sig }}</td></tr>
<tr><td>epsilon per person, at two sites</td><td>{{ r.privacy.epsilon_two_sites|sig }}</td></tr>
<tr><td>adjacency</td><td>{{ r.privacy.adjacency or '–' }}</td></tr>
<tr><td>accountant</td><td>{{ r.privacy.accountant or '–' }}</td></tr>
<tr><td>noise source</td><td>{{ noise_source }}</td></tr>
</tbody></table></div>
{% if r.privacy.sites %}
<div class="scroll"><table><thead><tr><th>site</th><th class="n">epsilon,<br>per person</th><th class="n">epsilon,<br>per window</th><th class="n">delta</th><th class="n">sigma</th>
<th class="n">clip norm</th><th class="n">q</th><th class="n">steps</th><th class="n">windows per<br>person, at most</th><th class="n">lifetime epsilon,<br>per person</th></tr></thead><tbody>
{% for site in r.privacy.sites %}<tr><td class="name">{{ site.name }}</td><td class="n"><b>{{ site.epsilon_participant|sig }}</b></td><td class="n">{{ site.epsilon_window|sig }}</td>
<td class="n">{{ site.delta|sig }}</td><td class="n">{{ site.sigma|sig }}</td><td class="n">{{ site.clip_norm|sig }}</td><td class="n">{{ site.q|sig }}</td><td class="n">{{ site.steps|count }}{% if site.name in planned_only %}<span class="sub">{{ planned_only[site.name] }}</span>{% endif %}</td>
<td class="n">{{ site.max_windows_per_participant|count }}</td><td class="n">{% if site.lifetime %}{{ site.lifetime.epsilon_participant|sig }}<span class="sub">{{ site.lifetime.events }} charges</span>{% else %}–{% endif %}</td></tr>{% endfor %}
</tbody></table></div>
<p class="quiet">Epsilons are for this run. A dash means that nothing finite bounds the unit, or that it was not computed. A person at several sites gets the composition of those sites' epsilons.</p>
{% endif %}
{% if r.releases %}
<h3>What may leave a site</h3>
<div class="scroll"><table><thead><tr><th>release</th><th>what it is</th><th>seen by</th><th>status</th></tr></thead><tbody>
{% for row in r.releases %}<tr><td><code>{{ row.name }}</code></td><td>{{ row.what }}</td><td>{{ row.observer }}</td><td>{{ row.status }}</td></tr>{% endfor %}
</tbody></table></div>
{% endif %}
</section>

<section id="data">
<h2>Data</h2>
<div class="scroll"><table><thead><tr><th>site</th><th class="n">people</th><th class="n">of them trained on</th><th class="n">records</th><th class="n">sessions</th><th class="n">windows</th><th>left out, with reason</th></tr></thead><tbody>
{% for site in r.data.sites %}<tr><td class="name">{{ site.name }}</td><td class="n">{{ site.participants|count }}</td><td class="n">{{ site.trained_on|count }}</td><td class="n">{{ site.records|count }}</td>
<td class="n">{{ site.sessions|count }}</td><td class="n">{{ site.windows|count }}</td><td class="note">{% for reason, number in site.skipped|dictsort %}{{ number|count }} × {{ reason }}{{ '; ' if not loop.last }}{% else %}nothing{% endfor %}</td></tr>{% endfor %}
</tbody></table></div>
{% if duplicates %}<p class="quiet">{{ duplicates }}</p>{% endif %}
</section>

<section id="threats">
<h2>Threat model</h2>
<div class="scroll"><table><thead><tr><th>observer</th><th>holds</th><th>risks</th><th>what protects, and what does not</th></tr></thead><tbody>
{% for row in r.threat_model %}<tr><td>{{ row.observer }}</td><td>{{ row.holds }}</td><td>{{ row.risks }}</td><td>{{ row.protection }}</td></tr>{% endfor %}
</tbody></table></div>
</section>

<section id="limits">
<h2>Limits</h2>
{% if r.limits %}<ul class="plain">{% for line in r.limits %}<li>{{ line }}</li>{% endfor %}</ul>{% else %}<p class="quiet">None were stated.</p>{% endif %}
</section>

<section id="glossary">
<h2>Words</h2>
<dl class="terms">{% for term, meaning in glossary %}<div><dt>{{ term }}</dt><dd>{{ meaning }}</dd></div>{% endfor %}</dl>
</section>

<section id="manifest">
<h2>How to repeat this run</h2>
{% if r.manifest.command %}<pre>{{ r.manifest.command }}</pre>{% endif %}
<div class="cols">
<div class="scroll"><table><tbody>
<tr><td>engine</td><td>{{ r.manifest.engine }}</td></tr>
<tr><td>profile</td><td>{{ r.training.profile }}</td></tr>
{% for name, value in r.manifest.seeds|dictsort %}<tr><td>seed, {{ name }}</td><td>{{ value }}</td></tr>{% endfor %}
<tr><td>code</td><td><code>{{ r.manifest.code_hash }}</code></td></tr>
<tr><td>Python</td><td>{{ r.manifest.python }}, {{ r.manifest.platform }}</td></tr>
{% for name, value in r.manifest.versions|dictsort %}<tr><td>{{ name }}</td><td>{{ value }}</td></tr>{% endfor %}
</tbody></table></div>
<div class="scroll"><table><tbody>
{% for name, value in r.manifest.config|dictsort %}<tr><td><code>{{ name }}</code></td><td><code>{{ value }}</code></td></tr>{% endfor %}
{% for name, value in r.manifest.data_hashes|dictsort %}<tr><td>data, {{ name }}</td><td><code>{{ value }}</code></td></tr>{% endfor %}
</tbody></table></div>
</div>
</section>
</main>
<footer>Made from report.json (schema {{ r.schema_version }}) alone. This page loads nothing from anywhere and runs no script.</footer>
</body>
</html>
"""
)

COMPARE = (
    HEAD
    + """<header class="top">
<p class="over">TransECG-FL · comparison</p>
<h1>What privacy costs, and which risk it lowers</h1>
<p class="facts">{% for fact in facts %}<span>{{ fact }}</span> {% endfor %}</p>
{% for banner in banners %}
<div class="banner {{ banner.style }}"><strong>{{ banner.title }}</strong><p>{{ banner.text }}</p></div>
{% endfor %}
</header>
<main>
<section class="first" id="verdict">
<h2>Verdict</h2>
<dl class="verdict">
{% for topic, text in verdict %}<dt>{{ topic }}</dt><dd>{{ text }}</dd>{% endfor %}
</dl>
</section>

<section id="arms">
<h2>Arms</h2>
<div class="scroll"><table><thead><tr><th>arm</th><th>privacy</th><th class="n">epsilon per person, at any one site</th><th class="n">runs</th><th>seeds</th></tr></thead><tbody>
{% for arm in arms %}<tr><td class="name">{{ arm.name }}</td><td>{{ arm.privacy }}</td><td class="n">{{ arm.epsilon }}</td><td class="n">{{ arm.n }}</td><td>{{ arm.seeds }}</td></tr>{% endfor %}
</tbody></table></div>
</section>

<section id="criteria">
<h2>Three criteria of anonymisation</h2>
<p class="lead">Means over seeds. Utility aside, low is good.</p>
<div class="scroll"><table><thead><tr><th>criterion</th><th>figure</th>{% for arm in arms %}<th class="n">{{ arm.name }}</th>{% endfor %}</tr></thead><tbody>
{% for row in criteria %}
{% for line in row.lines %}<tr>{% if loop.first %}<td class="name" rowspan="{{ row.lines|length }}"><b>{{ row.criterion }}</b><span class="sub">{{ row.question }} {{ row.note }}</span></td>{% endif %}
<td>{{ line.label }}<span class="sub">{{ line.metric }}</span></td>{% for cell in line.cells %}<td class="n">{{ cell }}</td>{% endfor %}</tr>
{% else %}<tr class="off"><td class="name"><b>{{ row.criterion }}</b><span class="sub">{{ row.question }}</span></td><td colspan="{{ arms|length + 1 }}">{{ row.note }}</td></tr>
{% endfor %}{% endfor %}
</tbody></table></div>
</section>

{% for group in groups %}{% if group.rows %}
<section id="{{ group.about }}" class="k-{{ group.about }}">
<h2>{% if group.about != 'utility' %}<span class="k">{{ group.about }}</span>{% endif %}{{ group.title }}</h2>
<div class="panels">{% for item in group.figures %}
<figure><h4>{{ item.label }}</h4><figcaption>{{ item.metric }}</figcaption>{% if item.svg %}{{ item.svg }}{% else %}<p class="quiet">Nothing measured.</p>{% endif %}</figure>
{% endfor %}</div>
<div class="scroll"><table><thead><tr><th>figure</th><th>arm</th><th class="n">mean</th><th>95 % over seeds</th><th class="n">runs</th><th class="n">against best, paired</th><th class="n">pairs</th><th>reading</th></tr></thead><tbody>
{% for row in group.rows %}<tr class="{{ '' if loop.last or group.rows[loop.index].span else 'on' }}">{% if row.span %}<td class="name" rowspan="{{ row.span }}">{{ row.label }}<span class="sub">{{ row.metric }}</span>{% if row.start %}<span class="sub">before any training: {{ row.start }}</span>{% endif %}</td>{% endif %}
<td class="w">{{ row.arm }}</td><td class="n">{{ row.mean }}</td><td class="ci">{{ row.ci }}</td><td class="n">{{ row.n }}</td><td class="n">{{ row.difference }}</td><td class="n">{{ row.pairs }}</td><td class="w">{{ row.way }}</td></tr>{% endfor %}
</tbody></table></div>
</section>
{% endif %}{% endfor %}
"""
    + MOVES
    + """
<section id="limits">
<h2>Limits</h2>
<ul class="plain">{% for line in d.limits %}<li>{{ line }}</li>{% endfor %}</ul>
</section>

<section id="manifest">
<h2>What the runs share</h2>
<div class="scroll"><table><tbody>
{% for name, value in d.options|dictsort %}<tr><td><code>{{ name }}</code></td><td><code>{{ value }}</code></td></tr>{% endfor %}
{% for value in d.code_hashes %}<tr><td>code</td><td><code>{{ value }}</code></td></tr>{% endfor %}
</tbody></table></div>
</section>
</main>
<footer>Made from compare.json (schema {{ d.schema_version }}) alone. This page loads nothing from anywhere and runs no script.</footer>
</body>
</html>
"""
)
