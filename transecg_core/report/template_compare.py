"""The comparison page's section on attribution."""

# ruff: noqa: E501  (lines of HTML)

MOVES = """
{% macro moves(rows, arms, by_site=false) %}
<div class="scroll"><table><thead><tr><th>task</th><th>method</th>{% if by_site %}<th>site</th>{% endif %}<th>component</th>{% for arm in arms %}<th class="n">{{ arm }}</th>{% if arm != 'best' %}<th class="n">against best</th>{% endif %}{% endfor %}</tr></thead><tbody>
{% for row in rows %}<tr><td>{{ row.task }}</td><td class="w">{{ row.method }}</td>{% if by_site %}<td class="w">{{ row.site }}</td>{% endif %}<td>{{ row.component }}</td>{% for cell in row.cells %}<td class="n">{{ cell.mean }}{% if cell.ci %}<span class="sub">{{ cell.ci }}</span>{% endif %}</td>{% if arms[loop.index0] != 'best' %}<td class="n">{% if cell.sure %}<b>{{ cell.difference }}</b>{% else %}{{ cell.difference or '–' }}{% endif %}{% if cell.way %}<span class="sub">{{ cell.way }}</span>{% endif %}</td>{% endif %}{% endfor %}</tr>{% endfor %}
</tbody></table></div>
{% endmacro %}
{% if maps %}
<section id="attribution">
<h2>Where attribution moves</h2>
<p class="lead">Share of relevance per component in every arm, with 95 % intervals over seeds; grey: the component's share of the time, at the right the enrichment per arm. Only maps that pass their tests count; a model near chance has none.</p>
{% if maps.panels %}
<div class="legend">{% for item in maps.legend %}<span><i class="mark {{ item.css }}" style="background:{{ item.colour }}"></i>{{ item.name }}</span>{% endfor %}</div>
<div class="panels bars">{% for item in maps.panels %}<figure><h4>{{ item.task }}, {{ item.method }}</h4>{{ item.svg }}</figure>
{% endfor %}</div>
{% else %}<p class="quiet">No arm has a map that may be shown.</p>{% endif %}
{% if maps.missing %}<p class="quiet">Maps that not every run shows:</p><ul class="plain">{% for line in maps.missing %}<li>{{ line }}</li>{% endfor %}</ul>{% endif %}
{% if maps.rows %}<h3>Enrichment, and its paired difference to best</h3>
<p class="quiet">{% if maps.found %}Rows in which an arm's interval excludes zero: {{ maps.found|length }} of {{ maps.rows|length }}.{% else %}In none of {{ maps.rows|length }} rows does an interval exclude zero.{% endif %} Of twenty true zeros about one looks like a difference, so the verdict counts a move only where a gradient method and a perturbation method agree on it.</p>
{% if maps.found %}{{ moves(maps.found, maps.arms) }}{% endif %}
<details><summary>All {{ maps.rows|length }} rows</summary>{{ moves(maps.rows, maps.arms) }}</details>{% endif %}
{% if maps.sites %}<details><summary>The same site by site ({{ maps.sites|length }} rows)</summary>{{ moves(maps.sites, maps.arms, true) }}</details>{% endif %}
</section>
{% endif %}
"""
